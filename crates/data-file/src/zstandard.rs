//! Decompressing Zstandard.

use std::error::Error;
use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// All frames of a Zstandard file, one after the other.
pub(crate) struct Zstandard<S> {
    stored: S,
    decoder: FrameDecoder,
}

impl<S: BufRead> Zstandard<S> {
    pub(crate) fn new(stored: S) -> Self {
        Self {
            stored,
            decoder: FrameDecoder::new(),
        }
    }

    /// Begins the next frame, if there is one.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.stored.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.stored) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => self.skip(length.into())?,
                Err(error) => return Err(io_error(error)),
            }
        }
        Ok(false)
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.stored.by_ref().take(length), &mut io::sink())?;
        if skipped < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Decodes until there is something to hand out, or the frame ends.
    fn decode(&mut self, wanted: usize) -> io::Result<()> {
        while !self.decoder.is_finished() && self.decoder.can_collect() == 0 {
            self.decoder
                .decode_blocks(&mut self.stored, BlockDecodingStrategy::UptoBytes(wanted))
                .map_err(io_error)?;
        }
        Ok(())
    }

    /// The decoder computes the checksum of a frame that has one, and leaves it to its caller to compare it.
    fn check(&self) -> io::Result<()> {
        let stored = self.decoder.get_checksum_from_data();
        if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the content does not have the checksum that is stored with it",
            ));
        }
        Ok(())
    }
}

impl<S: BufRead> Read for Zstandard<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            self.decode(buffer.len())?;
            let length = self.decoder.read(buffer)?;
            if length > 0 {
                return Ok(length);
            }
            self.check()?;
            if !self.next_frame()? {
                return Ok(0);
            }
        }
    }
}

/// The kind of an error of reading, which the decoder wraps, is what tells that a file is cut off.
fn io_error(error: FrameDecoderError) -> io::Error {
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(inner) = cause {
        if let Some(inner) = inner.downcast_ref::<io::Error>() {
            return io::Error::new(inner.kind(), error);
        }
        cause = inner.source();
    }
    io::Error::new(io::ErrorKind::InvalidData, error)
}
