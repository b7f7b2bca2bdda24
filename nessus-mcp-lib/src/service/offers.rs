//! What scans can be made of: which templates and policies the scanners offer, and whether those of a request are among them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tracing::info;

use super::{ScanService, error::ServiceError, shorten};
use crate::{
    error::{Classified as _, chain, excerpt},
    ids::{InstanceId, PoolName},
    scanner::{OFFER_KEPT, Offering, ScanBasis, ScanOffer, ScannerError, ScannerPool},
    task::{ScanPayload, Task},
};

/// How long a scanner is waited for: the caller waits as well.
const PATIENCE: Duration = Duration::from_secs(5);
/// How old the list may be by which a name is refused: somebody may have made the policy just now.
const FRESH: Duration = Duration::from_secs(5);
/// How many policies of a pool are listed.
const MOST_POLICIES: usize = 200;

/// The answer of [`ScanService::list_policies`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PoliciesView {
    /// The pools, in the order of the configuration.
    pub pools: Vec<PoolPolicies>,
}

/// What scans of a pool can be made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PoolPolicies {
    /// The pool.
    pub scanner_pool: PoolName,
    /// The templates: kinds of scan that come with the scanners.
    pub templates: Vec<TemplateView>,
    /// The policies that people made on the scanners, as far as the operator allows them; the first 200.
    pub policies: Vec<PolicyView>,
    /// How many more policies there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub policies_left_out: usize,
    /// Enabled scanners that could not be asked: they may have others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_asked: Vec<NotAsked>,
}

/// A template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TemplateView {
    /// What to give as `template`.
    pub name: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The scanners that have it; absent when all do that were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanners: Option<Vec<InstanceId>>,
}

/// A policy that somebody made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PolicyView {
    /// What to give as `policy`, unless two have the name.
    pub name: String,
    /// The name of the template that it was made from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Its id on each scanner that has it. It differs from scanner to scanner.
    pub ids: BTreeMap<InstanceId, String>,
}

/// A scanner that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct NotAsked {
    /// The scanner.
    pub scanner_instance: InstanceId,
    /// Why, as a stable code.
    pub error_code: String,
    /// Why.
    pub error: String,
}

/// What was found out of the template or policy of a request.
#[derive(Debug, Default)]
pub(super) struct BasisCheck {
    /// The scanners that have it; `None` where all do, or it is not known.
    pub(super) able: Option<Vec<InstanceId>>,
    /// Why it could not be found out: then the worker does.
    pub(super) warning: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl PoolPolicies {
    fn new(pool: &ScannerPool) -> Self {
        let scanner_pool = pool.name.clone();
        Self { scanner_pool, templates: vec![], policies: vec![], policies_left_out: 0, not_asked: vec![] }
    }

    /// Adds what one scanner has.
    fn add(&mut self, instance: &InstanceId, offer: &ScanOffer) {
        for offered in offer.usable_templates() {
            let known = self.templates.iter().position(|known| known.name == offered.name);
            let at = known.unwrap_or_else(|| {
                let title = offered.title.as_deref().map(shorten::text);
                self.templates.push(TemplateView { name: offered.name.clone(), title, scanners: Some(Vec::new()) });
                self.templates.len() - 1
            });
            if let Some(scanners) = self.templates[at].scanners.as_mut().filter(|known| !known.contains(instance)) {
                scanners.push(instance.clone());
            }
        }
        for offered in offer.allowed_policies() {
            let made_from = offer.templates.iter().find(|template| Some(&template.id) == offered.template_id.as_ref());
            let is_same = |known: &PolicyView| known.name == offered.name && !known.ids.contains_key(instance);
            let at = self.policies.iter().position(is_same).unwrap_or_else(|| {
                let template = made_from.map(|template| template.name.clone());
                self.policies.push(PolicyView { name: offered.name.clone(), template, ids: BTreeMap::new() });
                self.policies.len() - 1
            });
            self.policies[at].ids.insert(instance.clone(), offered.id.clone());
        }
    }

    /// Leaves out what need not be said.
    fn finish(&mut self, asked: usize) {
        for template in &mut self.templates {
            template.scanners = template.scanners.take().filter(|scanners| scanners.len() < asked);
        }
        self.policies_left_out = self.policies.len().saturating_sub(MOST_POLICIES);
        self.policies.truncate(MOST_POLICIES);
    }
}

impl ScanService {
    /// The templates and policies that scans can be made of, of one pool or all. The scanners are asked; what they said less than
    /// five seconds ago is not asked again.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPool`] when there is no such pool. A scanner that does not answer is none: the answer names it.
    pub async fn list_policies(&self, pool: Option<&str>) -> Result<PoliciesView, ServiceError> {
        let mut pools = Vec::new();
        for pool in self.pools_of(pool)? {
            let mut view = PoolPolicies::new(&pool);
            let mut asked = 0;
            for (instance, offer) in self.usable_offers(&pool, None, FRESH).await {
                match offer {
                    Ok(offer) => {
                        asked += 1;
                        view.add(&instance, &offer);
                    }
                    Err(error) => view.not_asked.push(NotAsked {
                        scanner_instance: instance,
                        error_code: error.code().to_owned(),
                        error: shorten::text(&chain(&error)),
                    }),
                }
            }
            view.finish(asked);
            pools.push(view);
        }
        Ok(PoliciesView { pools })
    }

    /// What the enabled scanners of a pool offer, or the one of this name, as far as the caller may use it.
    async fn usable_offers(
        &self,
        pool: &ScannerPool,
        pinned: Option<&InstanceId>,
        max_age: Duration,
    ) -> Vec<(InstanceId, Result<Arc<ScanOffer>, ScannerError>)> {
        let offers = pool.offers(pinned, max_age, PATIENCE).await;
        offers.into_iter().map(|(id, offer)| (id, offer.map(|offer| self.usable(offer)))).collect()
    }

    /// Whether a scanner has what the scan of a task is to be made of; writes the name of a policy that is asked for by its id
    /// into the task.
    pub(super) async fn check_basis(&self, task: &mut Task) -> Result<BasisCheck, ServiceError> {
        let ScanPayload { template, policy, .. } = &task.payload;
        let basis = ScanBasis::of(template.as_deref(), policy.as_deref(), None);
        let Some(pool) = self.scanners.pool(&task.scanner_pool).filter(|_| !basis.is_default()) else {
            return Ok(BasisCheck::default());
        };
        let pinned = task.pinned_instance_id.as_ref();
        let mut offering = Offering::of(self.usable_offers(&pool, pinned, OFFER_KEPT).await, &basis);
        if offering.able.is_empty() && offering.refused.is_some() {
            offering = Offering::of(self.usable_offers(&pool, pinned, FRESH).await, &basis);
        }
        match (offering.refused, offering.unasked.first()) {
            (Some(refused), None) if offering.able.is_empty() => return Err(refused.into()),
            (_, Some((instance, failure))) if offering.able.is_empty() => {
                info!(task_id = %task.task_id, %instance, error = chain(failure), "a policy or template is not checked");
                return Ok(BasisCheck { able: None, warning: Some(unchecked(&basis, instance, failure)) });
            }
            _ => {}
        }
        if let ScanBasis::Policy { asked, .. } = &basis {
            let names: Vec<_> = offering.able.iter().filter_map(|(id, name)| Some((id, name.as_deref()?))).collect();
            let other = names.iter().find(|(_, name)| *name != names[0].1);
            if let (Some((first, name)), Some((second, other))) = (names.first(), other) {
                let (name, other) = (excerpt(name), excerpt(other));
                return Err(ServiceError::invalid(
                    "policy",
                    format!("means `{name}` on the scanner `{first}` and `{other}` on `{second}`"),
                    "give the name of the policy, or the scanner as `scanner_instance`".to_owned(),
                ));
            }
            task.payload.policy_name = names.first().map(|(_, name)| (*name).to_owned()).filter(|name| name != asked);
        }
        Ok(BasisCheck { able: Some(offering.able.into_iter().map(|(id, _)| id).collect()), warning: None })
    }
}

fn unchecked(basis: &ScanBasis, instance: &InstanceId, failure: &ScannerError) -> String {
    let what = match basis {
        ScanBasis::Template(name) => format!("the template `{name}`"),
        ScanBasis::Policy { asked, .. } => format!("the policy `{}`", excerpt(asked)),
    };
    let failure = shorten::text(&chain(failure));
    format!(
        "whether there is {what} could not be checked, which is done before the scan begins: `{instance}`: {failure}"
    )
}
