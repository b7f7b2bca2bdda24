//! Where a result of a task is, to be read.

#[cfg(feature = "objects")]
use std::sync::Arc;
use std::{fmt, fs::File, io, path::PathBuf};

use super::error::TaskError;
use crate::{known::Stamp, source::Source};
#[cfg(feature = "objects")]
use crate::{parts::PartFile, source::ReadAt};

/// Where a result of a task is.
#[derive(Debug, Clone)]
pub(crate) enum ResultPlace {
    /// A file of this machine, whether it is there or not.
    File(PathBuf),
    /// Parts in a store of objects, with the SHA-256 of the whole.
    #[cfg(feature = "objects")]
    Parts {
        /// For people.
        name: String,
        sha256: [u8; 32],
        file: Arc<PartFile>,
    },
    /// The task has no such result.
    #[cfg(feature = "objects")]
    Absent(String),
}

/// An open result. It is read as it was when it was opened, whatever takes its place meanwhile.
#[derive(Debug)]
pub(crate) struct OpenResult {
    pub(crate) source: Source,
    /// By which it is told from what was there before.
    pub(crate) stamp: Option<Stamp>,
}

impl ResultPlace {
    /// Opens it, to be read from its first byte.
    ///
    /// # Errors
    /// With the place in the message.
    pub(crate) fn open(&self) -> Result<OpenResult, TaskError> {
        self.try_open().map_err(TaskError::storage("cannot read", self.to_string()))
    }

    /// As [`ResultPlace::open`], for those who say themselves what could not be opened.
    pub(crate) fn try_open(&self) -> io::Result<OpenResult> {
        match self {
            Self::File(path) => {
                let file = File::open(path)?;
                let stamp = Stamp::of(&file.metadata()?);
                Ok(OpenResult { source: file.into(), stamp })
            }
            #[cfg(feature = "objects")]
            Self::Parts { sha256, file, .. } => {
                let file: Arc<dyn ReadAt> = Arc::<PartFile>::clone(file);
                Ok(OpenResult { source: file.into(), stamp: Some(Stamp::Content(*sha256)) })
            }
            #[cfg(feature = "objects")]
            Self::Absent(_) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl fmt::Display for ResultPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            #[cfg(feature = "objects")]
            Self::Parts { name, .. } | Self::Absent(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
#[cfg(feature = "objects")]
mod tests {
    use std::{
        fs,
        io::Write as _,
        path::Path,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::{
        parts::{PART_BYTES, PartCache},
        results::{ExportIndex, JsonNlConverter, Page, Query},
    };

    /// The same content in parts, and how many of them were fetched.
    fn in_parts(cache: &PartCache, content: &[u8]) -> (ResultPlace, Arc<AtomicUsize>) {
        let chunks: Vec<Vec<u8>> = content.chunks(PART_BYTES).map(<[u8]>::to_vec).collect();
        let hashes = chunks.iter().map(|chunk| Sha256::digest(chunk).into()).collect();
        let fetched = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&fetched);
        let fetch = move |number: usize| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(chunks[number].clone())
        };
        let file = PartFile::new(cache.clone(), hashes, content.len() as u64, Arc::new(fetch)).unwrap();
        let sha256 = Sha256::digest(content).into();
        (ResultPlace::Parts { name: "its export".to_owned(), sha256, file: Arc::new(file) }, fetched)
    }

    fn in_file(directory: &Path, name: &str, content: &[u8]) -> ResultPlace {
        let path = directory.join(name);
        File::create(&path).unwrap().write_all(content).unwrap();
        ResultPlace::File(path)
    }

    fn first_page(export: &ResultPlace, index: &ResultPlace) -> String {
        let (export, index) = (export.open().unwrap().source, index.open().unwrap().source);
        let index = ExportIndex::load(&index, &export).unwrap();
        let query = Query::builder().page(Page::new(1, Some(10)).unwrap()).build().unwrap();
        let mut output = Vec::new();
        JsonNlConverter::new(query).convert_indexed(export, &index, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    /// An index that was made of the file fits the parts, and the other way round.
    #[test]
    fn a_page_is_the_same_wherever_the_results_lie() {
        let directory = tempfile::tempdir().unwrap();
        let item = |number: usize| {
            let output = format!("{number} ").repeat(100);
            let severity = number % 5;
            format!(
                "<ReportItem severity='{severity}' port='{number}' pluginID='7'><plugin_output>{output}</plugin_output></ReportItem>\n"
            )
        };
        let items: String = (0..12_000).map(item).collect();
        let export = format!(
            "<NessusClientData_v2><Report><ReportHost name='h'>{items}</ReportHost></Report></NessusClientData_v2>"
        );
        let file = in_file(directory.path(), "export", export.as_bytes());
        let cache = PartCache::new(&directory.path().join("cache"), 1 << 30);
        let (parts, fetched) = in_parts(&cache, export.as_bytes());
        let count = export.len().div_ceil(PART_BYTES);
        assert!(count > 5, "{count}");
        let (mut of_file, mut of_parts) = (Vec::new(), Vec::new());
        ExportIndex::build(&file.open().unwrap().source, &mut of_file).unwrap();
        let index_in_file = in_file(directory.path(), "index", &of_file);
        let expected = first_page(&file, &index_in_file);
        assert_eq!(expected.lines().filter(|line| line.contains(r#""type":"vulnerability""#)).count(), 10);
        // Only the ends, which the index knows, and what is shown: the first items of the highest severity.
        assert_eq!(first_page(&parts, &index_in_file), expected);
        assert_eq!(fetched.load(Ordering::SeqCst), 2);
        ExportIndex::build(&parts.open().unwrap().source, &mut of_parts).unwrap();
        assert_eq!(fetched.load(Ordering::SeqCst), count);
        let (index_in_parts, _) = in_parts(&cache, &of_parts);
        for export in [&file, &parts] {
            assert_eq!(first_page(export, &index_in_parts), expected);
        }
        assert_eq!(fetched.load(Ordering::SeqCst), count, "nothing was fetched again");
    }

    #[test]
    fn what_takes_its_place_has_another_stamp() {
        let directory = tempfile::tempdir().unwrap();
        let cache = PartCache::new(&directory.path().join("cache"), 1 << 30);
        let stamp = |place: &ResultPlace| place.open().unwrap().stamp.unwrap();
        let file = in_file(directory.path(), "export", b"1");
        let before = stamp(&file);
        assert_eq!(stamp(&file), before);
        fs::remove_file(directory.path().join("export")).unwrap();
        let opened = in_file(directory.path(), "other", b"1");
        assert_ne!(stamp(&opened), before);
        let [one, same, other] = [&b"1"[..], b"1", b"2"].map(|content| stamp(&in_parts(&cache, content).0));
        assert!(one == same && one != other && one != before);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let missing = ResultPlace::File("/nowhere/scan".into());
        assert!(missing.open().unwrap_err().to_string().starts_with("cannot read `/nowhere/scan`: "));
        let absent = ResultPlace::Absent("the export of x".to_owned());
        assert!(absent.open().unwrap_err().to_string().starts_with("cannot read `the export of x`: "));
        assert_eq!(absent.try_open().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
