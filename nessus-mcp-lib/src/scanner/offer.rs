//! What scans can be made of: the templates of a scanner, and the policies that people made on it.

use super::error::ScannerError;
use crate::error::{excerpt, nearest};

/// The template of a scan that asks for none.
pub const DEFAULT_TEMPLATE: &str = "basic";

/// How many names a refusal tells, the most similar first.
const MOST_NEAREST: usize = 5;

/// What a scan is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanBasis {
    /// A template: the scanner's name for a kind of scan, such as `basic` or `discovery` on Nessus.
    Template(String),
    /// A policy that somebody made on the scanner.
    Policy {
        /// Its name or id, as it was asked for. A name comes first where a text is both.
        asked: String,
        /// For one that was asked for by its id: the name that it must have.
        name: Option<String>,
    },
}

impl Default for ScanBasis {
    fn default() -> Self {
        Self::template(DEFAULT_TEMPLATE)
    }
}

impl ScanBasis {
    /// This template.
    pub fn template(name: impl Into<String>) -> Self {
        Self::Template(name.into())
    }

    /// The policy of this name or id.
    pub fn policy(asked: impl Into<String>) -> Self {
        Self::Policy { asked: asked.into(), name: None }
    }

    /// What a task asks for: the policy if there is one, else the template, else the default one.
    pub(crate) fn of(template: Option<&str>, policy: Option<&str>, policy_name: Option<&str>) -> Self {
        match policy {
            Some(asked) => Self::Policy { asked: asked.to_owned(), name: policy_name.map(str::to_owned) },
            None => Self::template(template.unwrap_or(DEFAULT_TEMPLATE)),
        }
    }

    /// Whether every scanner has it.
    pub(crate) fn is_default(&self) -> bool {
        matches!(self, Self::Template(name) if name == DEFAULT_TEMPLATE)
    }
}

/// A template of a scanner.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanTemplate {
    /// The name by which it is asked for.
    pub name: String,
    /// Its name for people.
    pub title: Option<String>,
    /// What the scanner calls it in its own calls.
    pub id: String,
    /// Why no scan can be made of it, if so.
    pub obstacle: Option<&'static str>,
}

impl ScanTemplate {
    /// A template that scans can be made of.
    pub fn new(name: impl Into<String>, id: impl Into<String>) -> Self {
        Self { name: name.into(), title: None, id: id.into(), obstacle: None }
    }
}

/// A policy that somebody made on a scanner.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanPolicy {
    /// The scanner's own name for it. Another scanner may use it for another policy.
    pub id: String,
    /// Its name. There may be two of one name.
    pub name: String,
    /// The id of the template that it was made from.
    pub template_id: Option<String>,
    /// Whether the operator lets scans use it.
    pub is_allowed: bool,
}

impl ScanPolicy {
    /// A policy that scans may use.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), template_id: None, is_allowed: true }
    }
}

/// What a scanner has that scans can be made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanOffer {
    /// Its templates, those that the operator does not allow left out.
    pub templates: Vec<ScanTemplate>,
    /// Its policies, all of them.
    pub policies: Vec<ScanPolicy>,
}

impl ScanOffer {
    /// These.
    pub const fn new(templates: Vec<ScanTemplate>, policies: Vec<ScanPolicy>) -> Self {
        Self { templates, policies }
    }

    /// Whether a scan can be made of this; the name of the policy, if it is one.
    ///
    /// # Errors
    /// Those of [`ScanOffer::template`] and [`ScanOffer::policy`].
    pub fn check(&self, basis: &ScanBasis) -> Result<Option<&str>, ScannerError> {
        match basis {
            ScanBasis::Template(name) => self.template(name).map(|_| None),
            ScanBasis::Policy { asked, name } => self.policy(asked, name.as_deref()).map(|found| Some(&*found.name)),
        }
    }

    /// The template of this name that a scan can be made of.
    ///
    /// # Errors
    /// [`ScannerError::UnknownTemplate`] or [`ScannerError::UnusableTemplate`] when there is none.
    pub fn template(&self, name: &str) -> Result<&ScanTemplate, ScannerError> {
        let mut of_name = self.templates.iter().filter(|template| template.name == name);
        if let Some(found) = of_name.clone().find(|template| template.obstacle.is_none()) {
            return Ok(found);
        }
        let available = self.usable_templates().map(|template| excerpt(&template.name).to_string()).collect();
        let obstacle = of_name.find_map(|template| template.obstacle);
        let name = excerpt(name).to_string();
        Err(match obstacle {
            Some(reason) => ScannerError::UnusableTemplate { name, reason, available },
            None => ScannerError::UnknownTemplate { name, available },
        })
    }

    /// The templates that a scan can be made of.
    pub fn usable_templates(&self) -> impl Iterator<Item = &ScanTemplate> {
        self.templates.iter().filter(|template| template.obstacle.is_none())
    }

    /// The policies that the operator lets scans use.
    pub fn allowed_policies(&self) -> impl Iterator<Item = &ScanPolicy> {
        self.policies.iter().filter(|policy| policy.is_allowed)
    }

    /// The policy that is meant by a name or an id; with `name`, by an id, and it must have this name.
    ///
    /// # Errors
    /// [`ScannerError::UnknownPolicy`], [`ScannerError::RenamedPolicy`], [`ScannerError::AmbiguousPolicy`] when two have the
    /// name, and [`ScannerError::PolicyNotAllowed`].
    pub fn policy(&self, asked: &str, name: Option<&str>) -> Result<&ScanPolicy, ScannerError> {
        let shown = || excerpt(asked).to_string();
        let of_name: Vec<_> = self.policies.iter().filter(|policy| name.is_none() && policy.name == asked).collect();
        let found = match of_name[..] {
            [one] => one,
            [] => self.policies.iter().find(|policy| policy.id == asked).ok_or_else(|| {
                let allowed = self.allowed_policies().map(|policy| policy.name.as_str());
                ScannerError::UnknownPolicy {
                    name: shown(),
                    nearest: shortened(nearest(name.unwrap_or(asked), allowed)),
                }
            })?,
            // Which of them is allowed says nothing about which of them is meant.
            _ => {
                let ids = of_name.iter().map(|policy| policy.id.as_str()).collect();
                return Err(ScannerError::AmbiguousPolicy { name: shown(), ids: shortened(ids) });
            }
        };
        if let Some(name) = name.filter(|name| *name != found.name) {
            let (before, now) = (excerpt(name).to_string(), excerpt(&found.name).to_string());
            return Err(ScannerError::RenamedPolicy { id: shown(), before, now });
        }
        if !found.is_allowed {
            let allowed = nearest(asked, self.allowed_policies().map(|policy| policy.name.as_str()));
            return Err(ScannerError::PolicyNotAllowed { name: shown(), nearest: shortened(allowed) });
        }
        Ok(found)
    }
}

fn shortened(names: Vec<&str>) -> Vec<String> {
    names.into_iter().take(MOST_NEAREST).map(|name| excerpt(name).to_string()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::error::Classified;

    fn offer() -> ScanOffer {
        let mut secret = ScanPolicy::new("9", "Red team");
        secret.is_allowed = false;
        let policies = [("4", "Weekly"), ("5", "Twice"), ("6", "Twice"), ("7", "8"), ("8", "Seven")];
        let policies = policies.into_iter().map(|(id, name)| ScanPolicy::new(id, name)).chain([secret]).collect();
        let mut custom = ScanTemplate::new("custom", "u3");
        custom.obstacle = Some("it needs a policy");
        let agent = ScanTemplate { obstacle: Some("it is for scans by agents"), ..ScanTemplate::new("basic", "u0") };
        ScanOffer::new(vec![agent, ScanTemplate::new("basic", "u1"), custom], policies)
    }

    #[rstest]
    #[case::by_name("Weekly", None, Ok("4"))]
    #[case::by_id("4", None, Ok("4"))]
    #[case::a_name_comes_before_an_id("8", None, Ok("7"))]
    #[case::what_was_an_id_stays_one("8", Some("Seven"), Ok("8"))]
    #[case::of_two_by_id("6", Some("Twice"), Ok("6"))]
    #[case::of_two_by_name("Twice", None, Err("ambiguous_policy"))]
    #[case::unknown("weekly", None, Err("unknown_policy"))]
    #[case::deleted("40", Some("Weekly"), Err("unknown_policy"))]
    #[case::renamed("4", Some("Monthly"), Err("policy_renamed"))]
    #[case::not_allowed("Red team", None, Err("policy_not_allowed"))]
    #[case::not_allowed_by_id("9", None, Err("policy_not_allowed"))]
    fn a_policy_is_found_by_name_or_id(
        #[case] asked: &str,
        #[case] name: Option<&str>,
        #[case] expected: Result<&str, &str>,
    ) {
        let offer = offer();
        let found = offer.policy(asked, name);
        let found = found.as_ref().map(|policy| policy.id.as_str()).map_err(Classified::code);
        assert_eq!(found, expected);
        let said = offer.policy("Weakly", None).unwrap_err();
        assert!(said.hint().unwrap().contains("Weekly") && !said.hint().unwrap().contains("Red team"), "{said:?}");
    }

    #[test]
    fn a_template_with_an_obstacle_is_not_taken() {
        let offer = offer();
        assert_eq!(offer.template("basic").unwrap().id, "u1");
        assert_eq!(offer.template("custom").unwrap_err().code(), "unusable_template");
        assert_eq!(offer.template("nmap").unwrap_err().code(), "unknown_template");
        assert_eq!(offer.usable_templates().count(), 1);
    }
}
