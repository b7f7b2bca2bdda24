//! What the fuzz targets and the program that writes their seeds share.

use std::{
    fs::File,
    io::{Seek as _, Write as _},
    time::{Duration, UNIX_EPOCH},
};

use nessus_mcp_lib::{
    JsonNlConverter,
    results::{ExportIndex, Query, QueryBuilder, ResultsError},
    source::Source,
};

/// A small export with all kinds of items.
pub const OFFICE: &[u8] = include_bytes!("../../fixtures/exports/office.nessus");

/// The checksum at the end of an index.
const SUM_BYTES: usize = 32;

/// A file without a name.
pub fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    rewrite(&mut file, content);
    file
}

/// Puts other content into a file, and begins at its first byte again.
pub fn rewrite(file: &mut File, content: &[u8]) {
    file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(content)).expect("a temporary file");
    file.rewind().expect("a temporary file");
}

/// The same file, to be read.
pub fn source(file: &File) -> Source {
    file.try_clone().expect("a temporary file").into()
}

/// [`OFFICE`] in a file that was always changed at the same time, so that an index of it stays one.
pub fn office_file() -> File {
    let file = file(OFFICE);
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_795_200_000)).expect("a temporary file");
    file
}

/// An index of [`office_file`] without the checksum at its end.
///
/// # Panics
/// When [`sealed`] does not know the checksum of indexes any more.
pub fn unsealed_index() -> Vec<u8> {
    let mut index = Vec::new();
    let summary = ExportIndex::build(&office_file().into(), &mut index).expect("the fixture is an export");
    assert!(summary.is_usable);
    let body = index[..index.len() - SUM_BYTES].to_vec();
    assert!(sealed(&body) == index, "indexes have another checksum now: bring `sealed` up to date");
    body
}

/// An index with the right checksum, whatever it says: without one, the rest is never looked at.
pub fn sealed(body: &[u8]) -> Vec<u8> {
    const FACTORS: [u64; 4] =
        [0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x27D4_EB2F_1656_67C5];
    const LENGTHS: usize = 32;
    let mut lanes = FACTORS;
    let mut take = |bytes: &[u8]| {
        for block in bytes.chunks(32) {
            let mut whole = [0; 32];
            whole[..block.len()].copy_from_slice(block);
            for ((lane, word), factor) in lanes.iter_mut().zip(whole.chunks_exact(8)).zip(FACTORS) {
                let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
                *lane = (*lane ^ word).wrapping_mul(factor).rotate_left(29);
            }
        }
    };
    let (content, lengths) = body.split_at(body.len().saturating_sub(LENGTHS));
    take(content);
    take(lengths);
    let mut index = body.to_vec();
    index.extend(lanes.iter().flat_map(|lane| lane.to_le_bytes()));
    index
}

/// The lines of an answer.
pub fn convert(export: &[u8], query: QueryBuilder) -> Result<Vec<u8>, ResultsError> {
    let mut output = Vec::new();
    let converted = JsonNlConverter::new(query.build()?).convert(std::io::Cursor::new(export), &mut output);
    assert!(converted.is_ok() || output.is_empty(), "nothing is written before the export is found to be whole");
    converted.map(|_| output)
}

/// Panics unless every line is JSON.
pub fn assert_lines(output: &[u8]) {
    for line in output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: serde_json::Value = serde_json::from_slice(line).expect("a line of JSON");
        assert!(line["type"].is_string());
    }
}

/// Everything, with all fields.
pub fn full() -> QueryBuilder {
    Query::builder().profile(nessus_mcp_lib::results::Profile::Full)
}
