//! Reading the findings of a task.

use std::{
    io::{self, Write},
    time::Duration,
};

use serde_json::{Map, Value};
use tracing::warn;

use super::{ScanService, error::ServiceError, shorten};
use crate::{
    blocking,
    ids::TaskId,
    results::{
        Caller, ConversionSummary, FilterSet, GroupBy, GroupSort, JsonNlConverter, Page, Profile, Query, RecordKind,
        ResultsError, SortOrder,
    },
    targets,
    task::{Task, Writer},
};

/// Reading results again within this time does not write `last_accessed_at` again.
const ACCESS_RESOLUTION: Duration = Duration::from_secs(3600);

/// The most bytes of results that are handed out as one text.
const MAX_TEXT_BYTES: usize = 16 << 20;

/// A text that refuses to grow without end.
struct Capped(Vec<u8>);

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Which findings of which task, and how they are shown, as the API layer gets it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ResultsRequest {
    /// The task.
    pub task_id: TaskId,
    /// Of which kind the items are; vulnerabilities when it is `None`.
    pub kind: Option<RecordKind>,
    /// The profile; `brief` when neither it nor `custom_fields` is given.
    pub schema_profile: Option<Profile>,
    /// The fields to show instead of a profile's.
    pub custom_fields: Option<Vec<String>>,
    /// The fields to show after those of the profile.
    pub extra_fields: Vec<String>,
    /// What the items must be like.
    pub filters: FilterSet,
    /// Whether to count what matches, and show nothing of it.
    pub count_only: bool,
    /// What to count the findings by, in place of the findings, and in which order the groups are then.
    pub group_by: Option<(GroupBy, GroupSort)>,
    /// The order of findings; the worst first when it is `None`.
    pub sort: Option<SortOrder>,
    /// The page, from 1; 0 for everything. The first when it is `None`.
    pub page: Option<i64>,
    /// Findings, or groups, a page.
    pub page_size: Option<i64>,
    /// Where to go on: `next_cursor` of another page, instead of a page.
    pub cursor: Option<String>,
    /// The most characters; 0 for no limit, [`Query::DEFAULT_MAX_CHARS`] for a page when it is `None`.
    pub max_chars: Option<u64>,
    /// Whether `scan_metadata` says everything; see [`QueryBuilder::whole_metadata`](crate::results::QueryBuilder::whole_metadata).
    pub whole_metadata: Option<bool>,
}

impl ResultsRequest {
    /// The first page of a task's findings in the default profile.
    pub fn new(task_id: TaskId) -> Self {
        Self {
            task_id,
            kind: None,
            schema_profile: None,
            custom_fields: None,
            extra_fields: Vec::new(),
            filters: FilterSet::default(),
            count_only: false,
            group_by: None,
            sort: None,
            page: None,
            page_size: None,
            cursor: None,
            max_chars: None,
            whole_metadata: None,
        }
    }

    /// All of a task's findings in the default profile, on one page. That profile has no port: `schema_profile` and `extra_fields` say
    /// what else is shown.
    pub fn everything(task_id: TaskId) -> Self {
        Self { page: Some(0), ..Self::new(task_id) }
    }

    fn query(&self) -> Result<Query, ResultsError> {
        let mut query = Query::builder().caller(Caller::Request).extra_fields(self.extra_fields.iter());
        if self.count_only {
            if self.page_size.is_some() {
                return Err(ResultsError::ConflictingOptions { one: "count_only", other: "page_size" });
            }
            query = query.count_only();
        }
        if self.page.is_some() || !self.count_only {
            query = query.page(Page::new(self.page.unwrap_or(1), self.page_size)?);
        }
        if let Some(kind) = self.kind {
            query = query.kind(kind);
        }
        if let Some(profile) = self.schema_profile {
            query = query.profile(profile);
        }
        if let Some(fields) = &self.custom_fields {
            query = query.fields(fields);
        }
        if !self.filters.is_empty() {
            query = query.filters(self.filters.clone());
        }
        if let Some((by, sort)) = self.group_by {
            query = query.group_by(by, sort);
        }
        if let Some(sort) = &self.sort {
            query = query.sort(sort.clone());
        }
        if let Some(is_whole) = self.whole_metadata {
            query = query.whole_metadata(is_whole);
        }
        if let Some(cursor) = &self.cursor {
            query = query.cursor(cursor);
        }
        if let Some(characters) = self.max_chars {
            query = query.max_chars(characters);
        }
        query.build()
    }
}

impl ScanService {
    /// The findings as JSON-NL text, up to 16 MiB.
    ///
    /// # Errors
    /// [`ServiceError::TooLarge`] for more than that, which [`prepare_results`](Self::prepare_results) still gives.
    /// [`ServiceError::ResultsNotReady`] before the scan has ended, [`ServiceError::NoResults`] when it ended without,
    /// [`ServiceError::Busy`] when others read too much, [`ServiceError::Results`] for a query that cannot be answered or a
    /// damaged export.
    pub async fn results(&self, request: ResultsRequest) -> Result<String, ServiceError> {
        let (task_id, query) = read(request).await?;
        let most = query.max_bytes().map_or(MAX_TEXT_BYTES, |most| most.min(MAX_TEXT_BYTES));
        // All at once, and only what is written is really taken: a text that grows leaves gaps behind everywhere.
        let text = Capped(Vec::with_capacity(most));
        let (mut text, _) = self.write(&task_id, query, text, most).await.map_err(|error| match error {
            ServiceError::Results(ResultsError::Write(_)) => ServiceError::TooLarge { limit: MAX_TEXT_BYTES },
            other => other,
        })?;
        text.0.shrink_to_fit();
        String::from_utf8(text.0)
            .map_err(|_| ServiceError::invalid("results", "are not UTF-8", Some("report this as a defect".to_owned())))
    }

    /// Writes the findings into `output`, which takes so many bytes of memory. The query was made first: a wrong question
    /// is refused before anything is looked at, so that it gets the same answer at any time.
    pub(super) async fn write<W: Write + Send + 'static>(
        &self,
        task_id: &TaskId,
        query: Query,
        mut output: W,
        output_bytes: usize,
    ) -> Result<(W, ConversionSummary), ServiceError> {
        let (task, export) = self.task_and_export(task_id).await?;
        let (extent, known) = self.look_at_export(&task, &export).await?;
        let memory = extent.for_query(&query).saturating_add(output_bytes as u64);
        let share = self.memory.enter(memory).await?;
        self.note_access(&task).await;
        let index = match known {
            Some(index) => Some(index),
            None => self.index_of(&task, &export).await,
        };
        let converter = JsonNlConverter::new(query).with_metadata(scan_metadata(&task));
        let place = export.clone();
        // The work goes on when nobody waits for it any more, so the share is its own.
        let work = blocking::run(move || {
            let _share = share;
            let source = export.open()?.source;
            let summary = match &index {
                Some(index) => converter.convert_indexed(source, index, &mut output)?,
                None => converter.convert(source, &mut output)?,
            };
            Ok((output, summary))
        });
        let result: Result<_, ServiceError> = work.await.map_err(ResultsError::Read)?;
        if let Err(ServiceError::Results(ResultsError::Changed)) = &result {
            // The index was right by all that is looked at beforehand, and would be so the next time.
            warn!(%task_id, "the results do not fit their index");
            if let Err(error) = self.make_index(task_id, &place).await {
                warn!(%task_id, %error, "the index of the results could not be made again");
            }
        }
        result
    }

    /// Notes that the results were read. A failure is logged: the reader shall not suffer from a full disk.
    pub(super) async fn note_access(&self, task: &Task) {
        let now = self.clock.now();
        if task.last_accessed_at.is_some_and(|last| now.since(last) < ACCESS_RESOLUTION) {
            return;
        }
        let noted = self.tasks.update(&task.task_id, Writer::Api, move |task| task.last_accessed_at = Some(now));
        if let Err(error) = noted.await {
            warn!(task_id = %task.task_id, %error, "the time of access was not noted");
        }
    }
}

/// Reads a question, which may be as long as a request, where that holds up nobody.
pub(super) async fn read(request: ResultsRequest) -> Result<(TaskId, Query), ServiceError> {
    let read = blocking::run(move || request.query().map(|query| (request.task_id, query)));
    Ok(read.await.map_err(ServiceError::stopping)??)
}

/// What the `scan_metadata` line says about the task, beside what the export says.
pub(crate) fn scan_metadata(task: &Task) -> Map<String, Value> {
    let Value::Object(metadata) = serde_json::json!({
        "task_id": task.task_id,
        "scan_type": task.scan_type,
        "scan_name": shorten::text(&task.payload.name),
        "targets": targets::shortened(&task.payload.targets),
        "status": task.status,
        "scanner_pool": task.scanner_pool,
        "scanner_instance": task.scanner_instance_id,
        "started_at": task.started_at,
        "completed_at": task.completed_at,
        "authentication_status": task.authentication_status,
        "warnings": shorten::list(&task.validation_warnings),
    }) else {
        return Map::new();
    };
    metadata
}
