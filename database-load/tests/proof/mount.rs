//! A small disk.

use std::path::{Path, PathBuf};
use std::process::Command;

use test_process::run;

/// A file system in memory, mounted on a directory as long as this lives.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts it; nothing where that is not allowed, which is said.
    pub(crate) fn new(directory: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "mode=755", "tmpfs"]);
        let mounted = run(mount.arg(directory));
        if mounted.code == Some(0) {
            return Some(Self(directory.to_owned()));
        }
        println!(
            "left out: a full disk; mounting one is not allowed here: {}",
            mounted.stderr.trim()
        );
        None
    }

    /// Makes it so many bytes large.
    pub(crate) fn resize(&self, bytes: u64) {
        let option = format!("remount,size={bytes}");
        let mounted = run(Command::new("mount").args(["-o", &option]).arg(&self.0));
        assert_eq!(mounted.code, Some(0), "{mounted:?}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A server that uses it may end a little later.
        run(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}
