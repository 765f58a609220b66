//! How the image's executable is linked.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=layout.ld");
    let is_musl = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|environment| environment == "musl");
    if is_musl {
        // Packed, the relocations are some 400 KB less in the file, and in memory at each start.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{folder}/layout.ld");
    }
}
