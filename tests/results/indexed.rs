//! An export with its index, as the service keeps them.

use std::io::Write as _;

use nessus_mcp_lib::{
    JsonNlConverter,
    results::{ExportIndex, IndexError, QueryBuilder, ResultsError},
    source::Source,
};

use crate::engine::Answer;

/// The export in a file, and its index in memory.
#[derive(Debug)]
pub(crate) struct Indexed {
    export: Source,
    index: Option<ExportIndex>,
}

impl Indexed {
    /// Writes an export and makes its index; exports that are not in UTF-8 have none.
    pub(crate) fn new(content: &[u8]) -> Result<Self, ResultsError> {
        let mut export = tempfile::tempfile().unwrap();
        export.write_all(content).unwrap();
        let mut indexed = Self { export: export.into(), index: None };
        indexed.rebuild()?;
        Ok(indexed)
    }

    /// Makes the index again.
    pub(crate) fn rebuild(&mut self) -> Result<(), ResultsError> {
        let file = tempfile::tempfile().unwrap();
        let summary = ExportIndex::build(&self.export, &file)?;
        self.index = match ExportIndex::load(&file.into(), &self.export) {
            Ok(index) if summary.is_usable => Some(index),
            Err(IndexError::Impossible) if !summary.is_usable => None,
            other => panic!("{other:?}, but usable: {}", summary.is_usable),
        };
        Ok(())
    }

    /// The answer to a query, from the index where there is one.
    pub(crate) fn ask(&self, query: QueryBuilder) -> Result<Answer, ResultsError> {
        let mut output = Vec::new();
        let converter = JsonNlConverter::new(query.build()?);
        match &self.index {
            Some(index) => converter.convert_indexed(self.export.clone(), index, &mut output)?,
            None => converter.convert(self.export.clone(), &mut output)?,
        };
        Ok(Answer::read(&output))
    }
}
