//! Completes the arguments of prompts and the variables of resource templates.

use nessus_mcp_lib::{ScanService, error::excerpt, service::Completable};
use rmcp::{
    ErrorData,
    model::{CompleteRequestParams, CompleteResult, CompletionInfo, Reference},
};

use crate::{access::Access, prompts, resources};

/// The values that begin with what was typed; none where any text will do.
///
/// # Errors
/// "Invalid params" for an unknown prompt, template, argument or variable, and a refusal of what the tool would answer that lists
/// the values, where the caller may not use it.
pub(crate) async fn complete(
    service: &ScanService,
    access: &Access,
    request: &CompleteRequestParams,
) -> Result<CompleteResult, ErrorData> {
    let argument = &request.argument;
    let completed_by = match &request.r#ref {
        Reference::Prompt(prompt) => prompts::completed_by(access.tools(), &prompt.name, &argument.name)?,
        Reference::Resource(template) => variable(&template.uri, &argument.name)?,
        _ => {
            return Err(ErrorData::invalid_params(
                "there are completions for prompts and resource templates only",
                None,
            ));
        }
    };
    let Some(of) = completed_by else { return Ok(CompleteResult::default()) };
    if let Some(tool) = lists(of) {
        access.permit_as(tool)?;
    }
    let pool = request.context.as_ref().and_then(|context| context.get_argument(prompts::SCANNER_POOL));
    let pool = pool.map(|pool| pool.trim()).filter(|pool| !pool.is_empty());
    let found = service.completions(of, &argument.value, pool).await.map_err(|error| resources::failed(&error))?;
    let has_more = found.total > found.values.len();
    let info = CompletionInfo::with_pagination(found.values, u32::try_from(found.total).ok(), has_more);
    info.map(CompleteResult::new).map_err(|error| ErrorData::internal_error(error, None))
}

/// The tool that lists such values to everybody who may use it; none for those of the program.
const fn lists(values: Completable) -> Option<&'static str> {
    match values {
        Completable::Profile => None,
        Completable::Pool => Some("list_pools"),
        Completable::Policy => Some("list_policies"),
        // Of tasks, and of what nobody has thought of here.
        _ => Some("list_tasks"),
    }
}

/// What completes a variable of a template; `None` within for a number.
fn variable(template: &str, name: &str) -> Result<Option<Completable>, ErrorData> {
    match (template, name) {
        (resources::TASK | resources::RESULTS, "task_id") => Ok(Some(Completable::TaskId)),
        (resources::RESULTS, "profile") => Ok(Some(Completable::Profile)),
        (resources::RESULTS, "page") => Ok(None),
        (resources::TASK | resources::RESULTS, _) => {
            let message = format!("`{}` is no variable of {template}", excerpt(name));
            Err(ErrorData::invalid_params(message, None))
        }
        _ => Err(ErrorData::invalid_params(format!("Unknown resource template: {}", excerpt(template)), None)),
    }
}
