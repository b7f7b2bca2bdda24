//! Whose tasks a caller may see.

use std::{fmt, str::FromStr, sync::Arc};

use super::clients::{Principal, Role};

/// Whose tasks clients may see: what `policy.yaml` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Visibility {
    /// Those of all.
    #[default]
    All,
    /// Their own, and those of their team.
    Team,
    /// Their own.
    Own,
}

impl Visibility {
    /// The word in `policy.yaml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Team => "team",
            Self::Own => "own",
        }
    }

    /// The tasks that a caller may see.
    pub(super) fn sight_of(self, caller: &Principal) -> Sight {
        let by = || Arc::clone(&caller.name);
        match self {
            _ if caller.role.may(Role::Admin) => Sight::All,
            Self::All => Sight::All,
            Self::Team => Sight::Of { name: by(), team: caller.team.clone() },
            Self::Own => Sight::Of { name: by(), team: None },
        }
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Visibility {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = [Self::All, Self::Team, Self::Own].into_iter().find(|visibility| visibility.as_str() == text);
        found.ok_or_else(|| "must be `all`, `team` or `own`".to_owned())
    }
}

/// The tasks that a caller may see. All others do not exist for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sight {
    /// All.
    #[default]
    All,
    /// Those that this principal submitted, and those of its team.
    Of {
        /// Its name.
        name: Arc<str>,
        /// Its team, if the tasks of a team may be seen and it has one.
        team: Option<Arc<str>>,
    },
}

impl Sight {
    /// Whether a task may be seen, of which is known who submitted it, and for which team.
    pub fn includes(&self, submitted_by: Option<&str>, of_team: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Of { name, team } => submitted_by == Some(&**name) || (team.is_some() && team.as_deref() == of_team),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_sees_its_own_tasks_those_of_its_team_or_all() {
        let caller = |role, team: Option<&str>| Principal::new("ci", role).with_team(team.map(Into::into));
        // Submitted by, for which team: seen by `own`, by `team`, by `team` without a team.
        let cases = [
            (Some("ci"), None, [true, true, true]),
            (Some("ci"), Some("red"), [true, true, true]),
            (Some("desk"), Some("red"), [false, true, false]),
            (Some("desk"), Some("blue"), [false, false, false]),
            (Some("desk"), None, [false, false, false]),
            (Some("red"), None, [false, false, false]),
            (None, None, [false, false, false]),
        ];
        for (submitted_by, team, seen) in cases {
            let sees =
                |visibility: Visibility, caller: &Principal| visibility.sight_of(caller).includes(submitted_by, team);
            let reader = caller(Role::Scan, Some("red"));
            assert_eq!(
                [
                    sees(Visibility::Own, &reader),
                    sees(Visibility::Team, &reader),
                    sees(Visibility::Team, &caller(Role::Approve, None))
                ],
                seen,
                "{submitted_by:?} {team:?}"
            );
            assert!(sees(Visibility::All, &reader) && sees(Visibility::Own, &caller(Role::Admin, None)));
        }
    }

    #[test]
    fn the_words_of_the_file_are_read() {
        for visibility in [Visibility::All, Visibility::Team, Visibility::Own] {
            assert_eq!(visibility.to_string().parse(), Ok(visibility));
        }
        assert!("mine".parse::<Visibility>().is_err());
    }
}
