//! A bar on stderr that shows how far an export was read, when stderr is a terminal and the findings do not go to it too:
//! drawing the bar would wipe them.

use std::{
    io::{self, Read, Seek, SeekFrom},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two drawings.
const TICK: Duration = Duration::from_millis(250);

/// An input whose reading is shown.
///
/// The first reading of a conversion goes through the whole file, and the bar with it. The second jumps to the findings
/// that are wanted, in their order, so that places say nothing any more.
#[derive(Debug)]
pub(super) struct Progress<R> {
    input: R,
    bar: ProgressBar,
    position: u64,
    /// The farthest that was read, which only grows.
    farthest: u64,
    size: Option<u64>,
}

impl<R> Progress<R> {
    /// Of a file of so many bytes.
    pub(super) fn of_file(input: R, size: u64, is_shown: bool) -> Self {
        let bar = ProgressBar::new(size);
        let style =
            ProgressStyle::with_template("{msg} [{bar:40}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
        Self::new(input, if is_shown { bar } else { ProgressBar::hidden() }, style, Some(size))
    }

    /// Of an input whose end is not known.
    pub(super) fn of_stream(input: R, is_shown: bool) -> Self {
        let style = ProgressStyle::with_template("{msg} {spinner} {bytes}, {bytes_per_sec}");
        Self::new(input, if is_shown { ProgressBar::no_length() } else { ProgressBar::hidden() }, style, None)
    }

    fn new<E>(input: R, bar: ProgressBar, style: Result<ProgressStyle, E>, size: Option<u64>) -> Self {
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message("reading");
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        Self { input, bar, position: 0, farthest: 0, size }
    }
}

impl<R: Read> Read for Progress<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.position += count as u64;
        if self.position > self.farthest {
            self.farthest = self.position;
            self.bar.set_position(self.farthest);
        }
        Ok(count)
    }
}

impl<R: Seek> Seek for Progress<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if self.size == Some(self.farthest) {
            self.bar.set_message("writing");
        }
        self.position = self.input.seek(to)?;
        Ok(self.position)
    }
}

impl<R> Drop for Progress<R> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
