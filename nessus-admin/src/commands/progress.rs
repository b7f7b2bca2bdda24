//! A progress bar on stderr that shows how far an export was read. It is drawn only if stderr is a terminal and the findings
//! do not go to the same terminal, because drawing would overwrite them.

use std::{
    io::{self, Read, Seek, SeekFrom},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// The time between two redraws.
const TICK: Duration = Duration::from_millis(250);

/// An input that reports how far it was read to a progress bar.
///
/// The first pass of a conversion reads the whole file, so the bar follows its position. The second pass jumps between the
/// wanted findings, where a position tells nothing about progress.
#[derive(Debug)]
pub(super) struct Progress<R> {
    input: R,
    bar: ProgressBar,
    position: u64,
    /// The largest position read so far.
    farthest: u64,
    size: Option<u64>,
}

impl<R> Progress<R> {
    /// For a file of `size` bytes.
    pub(super) fn of_file(input: R, size: u64, is_shown: bool) -> Self {
        let bar = ProgressBar::new(size);
        let style =
            ProgressStyle::with_template("{msg} [{bar:40}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
        Self::new(input, if is_shown { bar } else { ProgressBar::hidden() }, style, Some(size))
    }

    /// For an input of unknown length.
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
