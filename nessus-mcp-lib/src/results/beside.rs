//! Reading and rendering side by side: while one thread reads items, another renders those before.
//!
//! Either takes about half of the time of a whole conversion. Items go over in batches of bounded size and come back as
//! lines, in order; their buffers are used again.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use super::{
    error::ResultsError,
    profile::Projection,
    record::{Host, Record},
    render,
    xml::Item,
};

/// Batches that were read and not yet written.
const UNDER_WAY: usize = 2;
/// Items of a batch.
const ITEMS: usize = 32;
/// Bytes of items after which a batch is full.
const BATCH_BYTES: usize = 256 << 10;
/// An item that has grown larger is not used again.
const KEPT_BYTES: usize = 64 << 10;

/// Items on their way, or the lines that were made of them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Used ones first; the others wait to be used again.
    items: Vec<Item>,
    hosts: Vec<Arc<Host>>,
    bytes: usize,
    lines: Vec<u8>,
    failure: Option<io::Error>,
}

impl Batch {
    /// Whether it takes no more.
    pub(super) fn is_full(&self) -> bool {
        self.hosts.len() >= ITEMS || self.bytes >= BATCH_BYTES
    }

    /// Takes an item, and gives one back to be read into.
    pub(super) fn exchange(&mut self, item: &mut Item, host: Arc<Host>) {
        self.bytes += item.buffered();
        if self.items.len() <= self.hosts.len() {
            self.items.push(Item::default());
        }
        if let Some(place) = self.items.get_mut(self.hosts.len()) {
            std::mem::swap(place, item);
        }
        self.hosts.push(host);
    }

    fn render(&mut self, projection: &Projection) {
        for (item, host) in self.items.iter().zip(&self.hosts) {
            if let Err(error) = render::write_record(&mut self.lines, &Record { host, item }, projection) {
                self.failure = Some(error);
                return;
            }
        }
    }

    /// Writes the lines and makes room.
    fn finish(mut self, write: &mut dyn FnMut(&[u8]) -> Result<(), ResultsError>) -> Result<Self, ResultsError> {
        if let Some(error) = self.failure.take() {
            return Err(ResultsError::Write(error));
        }
        write(&self.lines)?;
        self.lines.clear();
        self.lines.shrink_to(BATCH_BYTES * 2);
        self.hosts.clear();
        self.items.retain(|item| item.buffered() <= KEPT_BYTES);
        self.bytes = 0;
        Ok(self)
    }
}

/// Lets `fill` read batches until it says that there is no more, and `write` take their lines, in order. `None` when there
/// is no second processor, or no thread to be had: then nothing was done.
pub(super) fn render(
    projection: &Projection,
    mut fill: impl FnMut(&mut Batch) -> Result<bool, ResultsError>,
    write: &mut dyn FnMut(&[u8]) -> Result<(), ResultsError>,
) -> Option<Result<(), ResultsError>> {
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        return None;
    }
    thread::scope(|scope| {
        let (read, to_render) = sync_channel::<Batch>(UNDER_WAY);
        let (done, to_write) = sync_channel::<Batch>(UNDER_WAY);
        let renderer = move || {
            for mut batch in to_render {
                batch.render(projection);
                if done.send(batch).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("render".to_owned()).spawn_scoped(scope, renderer).ok()?;
        Some(feed(read, &to_write, &mut fill, write))
    })
}

fn feed(
    read: SyncSender<Batch>,
    to_write: &Receiver<Batch>,
    fill: &mut dyn FnMut(&mut Batch) -> Result<bool, ResultsError>,
    write: &mut dyn FnMut(&[u8]) -> Result<(), ResultsError>,
) -> Result<(), ResultsError> {
    let mut under_way = 0;
    let mut more = true;
    while more {
        let mut batch = if under_way < UNDER_WAY {
            Batch::default()
        } else {
            under_way -= 1;
            match to_write.recv() {
                Ok(batch) => batch.finish(write)?,
                // It has panicked, and the scope says so.
                Err(_) => return Ok(()),
            }
        };
        more = fill(&mut batch)?;
        if read.send(batch).is_err() {
            return Ok(());
        }
        under_way += 1;
    }
    drop(read);
    for batch in to_write {
        batch.finish(write)?;
    }
    Ok(())
}
