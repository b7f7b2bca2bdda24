//! Which tools there are, and who may use which.

mod caller;
mod choice;
mod headers;
pub(crate) mod table;

pub(crate) use self::{
    caller::Access,
    choice::{Choice, List, NOTHING_LEFT, ToolSet, check},
    headers::chosen_by,
    table::find,
};
