//! What an address offers.

/// What an address offers, beside `/health/live` and `/health/ready`. What it does not is offered at another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Routes {
    /// `/mcp`, and the metadata of OAuth.
    pub(crate) mcp: bool,
    /// `/ui`.
    pub(crate) pages: bool,
    /// `/health` and `/metrics`.
    pub(crate) administration: bool,
}

impl Routes {
    /// All there is.
    pub(crate) const EVERYTHING: Self = Self { mcp: true, pages: true, administration: true };
    /// The tools alone.
    pub(crate) const MCP: Self = Self { mcp: true, pages: false, administration: false };
    /// The pages alone: whoever asks there is a person with a browser.
    pub(crate) const PAGES: Self = Self { mcp: false, pages: true, administration: false };
    /// What operators ask for, alone.
    pub(crate) const ADMINISTRATION: Self = Self { mcp: false, pages: false, administration: true };
}
