//! Completes the arguments of prompts and the variables of resource templates.

use nessus_mcp_lib::{ScanService, error::excerpt, policy::Role, service::Completable};
use rmcp::{
    ErrorData,
    model::{CompleteRequestParams, CompleteResult, CompletionInfo, Reference},
};

use crate::{prompts, resources};

/// The values that begin with what was typed; none where any text will do.
///
/// # Errors
/// "Invalid params" for an unknown prompt, template, argument or variable.
pub(crate) async fn complete(
    service: &ScanService,
    role: Role,
    request: &CompleteRequestParams,
) -> Result<CompleteResult, ErrorData> {
    let argument = &request.argument;
    let completed_by = match &request.r#ref {
        Reference::Prompt(prompt) => prompts::completed_by(role, &prompt.name, &argument.name)?,
        Reference::Resource(template) => variable(&template.uri, &argument.name)?,
        _ => {
            return Err(ErrorData::invalid_params(
                "there are completions for prompts and resource templates only",
                None,
            ));
        }
    };
    let Some(of) = completed_by else { return Ok(CompleteResult::default()) };
    let pool = request.context.as_ref().and_then(|context| context.get_argument(prompts::SCANNER_POOL));
    let pool = pool.map(|pool| pool.trim()).filter(|pool| !pool.is_empty());
    let found = service.completions(of, &argument.value, pool).await.map_err(|error| resources::failed(&error))?;
    let has_more = found.total > found.values.len();
    let info = CompletionInfo::with_pagination(found.values, u32::try_from(found.total).ok(), has_more);
    info.map(CompleteResult::new).map_err(|error| ErrorData::internal_error(error, None))
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
