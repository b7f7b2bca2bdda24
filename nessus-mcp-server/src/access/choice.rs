//! Which of the tools are chosen: by a role, by the operator's policy, by the settings of the server, by the headers of a request.
//! Each can only leave tools out.

use nessus_mcp_lib::{
    config::ConfigError,
    error::{excerpt, nearest},
    policy::{Policy, Rights, Role, ToolRights},
    task::ScanType,
};

use super::table::{Row, TOOLS, Toolset, find};

/// Some of the tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ToolSet(u32);

impl ToolSet {
    /// All of them.
    pub(crate) const ALL: Self = Self((1 << TOOLS.len()) - 1);
    /// None of them.
    const NONE: Self = Self(0);

    /// Those whose rows are such.
    pub(crate) fn those(wanted: impl Fn(&Row) -> bool) -> Self {
        let bits = TOOLS.iter().enumerate().filter(|(_, row)| wanted(row)).map(|(at, _)| 1 << at);
        Self(bits.fold(0, |all, bit: u32| all | bit))
    }

    /// Those for a role.
    pub(super) fn of_role(role: Role) -> Self {
        Self::those(|row| role.may(row.role))
    }

    /// Those that are in both.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a text names no other tools.
    pub(crate) fn cover(self, text: &str) -> bool {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let mut words = text.split(|letter| !is_letter(letter));
        words.all(|word| self.has(word) || find(word).is_none())
    }

    /// Whether a tool is among them.
    pub(crate) fn has(self, name: &str) -> bool {
        TOOLS.iter().position(|row| row.name == name).is_some_and(|at| self.0 & (1 << at) != 0)
    }
}

/// The lists by which tools are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    /// Only tools of these toolsets.
    Toolsets,
    /// Only these tools.
    Tools,
    /// Not these tools.
    ExcludeTools,
}

/// What is said of a choice that leaves nothing.
pub(crate) const NOTHING_LEFT: &str = "leaves no tool, together with what else is chosen";

/// A choice; the default is all tools.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Choice {
    toolsets: Option<ToolSet>,
    tools: Option<ToolSet>,
    excluded: Option<ToolSet>,
    /// Whether only what changes nothing is chosen.
    pub(crate) read_only: bool,
}

impl Choice {
    /// All tools, or those that change nothing.
    pub(crate) fn read_only(read_only: bool) -> Self {
        Self { read_only, ..Self::default() }
    }

    /// Adds a name to a list.
    ///
    /// # Errors
    /// A sentence fragment that names what comes nearest, when nothing has this name.
    pub(crate) fn add(&mut self, list: List, name: &str) -> Result<(), String> {
        let (named, into) = match list {
            List::Toolsets => (toolset(name)?, &mut self.toolsets),
            List::Tools => (tool(name)?, &mut self.tools),
            List::ExcludeTools => (tool(name)?, &mut self.excluded),
        };
        *into = Some(into.unwrap_or(ToolSet::NONE).or(named));
        Ok(())
    }

    /// Adds names that are separated by commas to a list.
    ///
    /// # Errors
    /// As [`add`](Self::add), and for a text that names nothing: what it means is not known.
    pub(crate) fn add_all(&mut self, list: List, names: &str) -> Result<(), String> {
        if names.trim().is_empty() {
            return Err("names nothing: leave it out, or name some, separated by commas".to_owned());
        }
        names.split(',').map(str::trim).try_for_each(|name| match name {
            "" => Err("has an empty name in it".to_owned()),
            name => self.add(list, name),
        })
    }

    /// The tools that are left: those that each list leaves.
    pub(crate) fn tools(self) -> ToolSet {
        let left = self.toolsets.unwrap_or(ToolSet::ALL).and(self.tools.unwrap_or(ToolSet::ALL));
        let excluded = self.excluded.unwrap_or(ToolSet::NONE);
        let left = left.and(ToolSet(!excluded.0));
        if self.read_only { left.and(ToolSet::those(Row::is_read_only)) } else { left }
    }

    /// Whether it leaves nothing, although it need not.
    pub(crate) fn is_empty(self) -> bool {
        self.tools() == ToolSet::NONE
    }

    /// What the policy leaves a client, beside its role.
    ///
    /// # Errors
    /// With file, line and key of a name that nothing has.
    fn of_client(rights: &ToolRights) -> Result<Self, ConfigError> {
        let mut choice = Self::default();
        let lists = [
            (List::Toolsets, rights.toolsets.as_deref().unwrap_or_default()),
            (List::Tools, rights.tools.as_deref().unwrap_or_default()),
            (List::ExcludeTools, &rights.exclude_tools),
        ];
        for (list, names) in lists {
            for listed in names {
                choice.add(list, &listed.name).map_err(|message| listed.error(message))?;
            }
        }
        match lists.iter().flat_map(|(_, names)| names.iter()).next_back() {
            Some(last) if choice.is_empty() => Err(last.error(NOTHING_LEFT)),
            _ => Ok(choice),
        }
    }
}

/// Checks the names of tools and toolsets in a policy.
///
/// # Errors
/// With file, line and key of a name that nothing has.
pub(crate) fn check(policy: &Policy) -> Result<(), ConfigError> {
    policy.tool_rights().try_for_each(|rights| Choice::of_client(rights).map(drop))
}

/// The tools that the policy leaves a client, beside its role: none where a name in it is wrong, which [`check`] refuses.
pub(super) fn left_by(rights: &Rights) -> ToolSet {
    let submits = |row: &Row| match row.name {
        "run_untrusted_scan" => rights.allows_scan_type(ScanType::Untrusted.as_str()),
        "run_trusted_scan" => rights.allows_scan_type(ScanType::Trusted.as_str()),
        "run_privileged_scan" => rights.allows_scan_type(ScanType::Privileged.as_str()),
        _ => true,
    };
    Choice::of_client(&rights.tools).map_or(ToolSet::NONE, Choice::tools).and(ToolSet::those(submits))
}

fn toolset(name: &str) -> Result<ToolSet, String> {
    let found = Toolset::ALL.into_iter().find(|toolset| toolset.as_str() == name);
    match found {
        Some(toolset) => Ok(ToolSet::those(|row| row.toolset == toolset)),
        None if name == "all" => Ok(ToolSet::ALL),
        None => Err(unknown(name, "toolset", Toolset::ALL.map(Toolset::as_str))),
    }
}

fn tool(name: &str) -> Result<ToolSet, String> {
    let named = ToolSet::those(|row| row.name == name);
    if named == ToolSet::NONE { Err(unknown(name, "tool", TOOLS.iter().map(|row| row.name))) } else { Ok(named) }
}

fn unknown<'a>(name: &str, what: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let like = nearest(name, names).first().copied().unwrap_or_default();
    format!("names `{}`, which is no {what}; did you mean `{like}`?", excerpt(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(lists: &[(List, &str)], read_only: bool) -> Vec<&'static str> {
        let mut choice = Choice::read_only(read_only);
        for (list, name) in lists {
            choice.add(*list, name).unwrap();
        }
        TOOLS.iter().map(|row| row.name).filter(|name| choice.tools().has(name)).collect()
    }

    #[test]
    fn every_list_can_only_leave_tools_out() {
        use List::{ExcludeTools, Tools, Toolsets};
        assert_eq!(chosen(&[], false).len(), TOOLS.len());
        assert_eq!(chosen(&[(Toolsets, "all")], false).len(), TOOLS.len());
        assert_eq!(chosen(&[(Toolsets, "status")], false), ["get_scan_status", "list_tasks"]);
        assert_eq!(chosen(&[(Toolsets, "status"), (Toolsets, "submit")], true), ["get_scan_status", "list_tasks"]);
        assert_eq!(chosen(&[(Toolsets, "status"), (ExcludeTools, "list_tasks")], false), ["get_scan_status"]);
        assert_eq!(chosen(&[(Tools, "cancel_scan"), (Tools, "list_tasks")], false), ["list_tasks", "cancel_scan"]);
        assert_eq!(chosen(&[(Tools, "cancel_scan"), (ExcludeTools, "cancel_scan")], false), [""; 0]);
        assert_eq!(chosen(&[(Tools, "cancel_scan"), (Toolsets, "status")], false), [""; 0]);
    }

    #[test]
    fn a_name_that_nothing_has_is_refused_with_the_nearest() {
        for (list, name, said) in [
            (List::Tools, "run_untrusted_scn", "which is no tool; did you mean `run_untrusted_scan`?"),
            (List::ExcludeTools, "Cancel_Scan", "did you mean `cancel_scan`?"),
            (List::Toolsets, "result", "names `result`, which is no toolset; did you mean `results`?"),
            (List::Toolsets, "", "which is no toolset"),
            (List::Tools, "all", "which is no tool"),
        ] {
            let refused = Choice::default().add(list, name).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }

    #[test]
    fn a_role_has_the_tools_that_ask_for_it_or_for_less() {
        assert_eq!(ToolSet::of_role(Role::Scan), ToolSet::ALL);
        assert_eq!(ToolSet::of_role(Role::Read), ToolSet::those(Row::is_read_only));
    }
}
