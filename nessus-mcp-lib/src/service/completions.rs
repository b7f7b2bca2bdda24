//! Names that begin with what somebody has typed.

use std::collections::HashSet;

use super::{ScanService, error::ServiceError};
use crate::{results::Profile, task::TaskQuery};

/// The most names of one answer.
const MOST: usize = 100;

/// What names there are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Completable {
    /// Tasks, newest first.
    TaskId,
    /// Scanner pools, in the order of the configuration.
    Pool,
    /// Policies that people made on the scanners, in the order of the pools.
    Policy,
    /// Result profiles, from few fields to all.
    Profile,
}

/// The answer of [`ScanService::completions`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completions {
    /// The names, at most 100.
    pub values: Vec<String>,
    /// How many there are in all.
    pub total: usize,
}

impl Completions {
    fn of(names: impl IntoIterator<Item = String>, begin: &str) -> Self {
        let begins = |name: &String| name.get(..begin.len()).is_some_and(|name| name.eq_ignore_ascii_case(begin));
        let mut values: Vec<String> = names.into_iter().filter(begins).collect();
        let total = values.len();
        values.truncate(MOST);
        Self { values, total }
    }
}

impl ScanService {
    /// The names that begin with `begin`, in any case; of policies only those of `pool`, if one is given.
    ///
    /// # Errors
    /// [`ServiceError::Task`] when the tasks cannot be read, [`ServiceError::UnknownPool`] when there is no such pool.
    pub async fn completions(
        &self,
        of: Completable,
        begin: &str,
        pool: Option<&str>,
    ) -> Result<Completions, ServiceError> {
        Ok(match of {
            Completable::TaskId => {
                let mut query = TaskQuery::default().with_limit(MOST);
                query.id_prefix = Some(begin.to_owned());
                let (ids, total) = self.ids_matching(query).await?;
                Completions { values: ids.iter().map(ToString::to_string).collect(), total }
            }
            Completable::Pool => Completions::of(self.usable_pools().iter().map(|pool| pool.name.to_string()), begin),
            Completable::Policy => {
                let pools = self.list_policies(pool).await?.pools;
                let left_out: usize = pools.iter().map(|pool| pool.policies_left_out).sum();
                let names = pools.into_iter().flat_map(|pool| pool.policies).map(|policy| policy.name);
                let mut seen = HashSet::new();
                let found = Completions::of(names.filter(|name| seen.insert(name.clone())), begin);
                // Those that are not listed may be among them.
                Completions { total: found.total + left_out, ..found }
            }
            Completable::Profile => Completions::of(Profile::names().map(str::to_owned), begin),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};

    #[test]
    fn names_are_cut_and_counted() {
        let names = || (0..250).map(|number| format!("Host-{number:03}"));
        let all = Completions::of(names(), "");
        assert_eq!((all.values.len(), all.total), (100, 250));
        let some = Completions::of(names(), "hOST-24");
        assert_eq!((some.values.len(), some.total), (10, 10));
        assert_eq!(Completions::of(names(), "ho\u{17f}t"), Completions::default());
        assert_eq!(Completions::of(["ä".to_owned()], "a"), Completions::default());
    }

    #[tokio::test]
    async fn tasks_pools_and_profiles_are_completed() {
        let f = fixture().await;
        let first = f.service.submit(request()).await.unwrap().task_id;
        let second = f.service.submit(request()).await.unwrap().task_id;
        let all = f.service.completions(Completable::TaskId, "", None).await.unwrap();
        assert_eq!(all.total, 2);
        assert!(all.values.contains(&first.to_string()) && all.values.contains(&second.to_string()), "{all:?}");
        let one =
            f.service.completions(Completable::TaskId, &second.as_str().to_ascii_uppercase(), None).await.unwrap();
        assert_eq!((one.values, one.total), (vec![second.to_string()], 1));
        assert_eq!(f.service.find_task(&first.as_str()[..first.as_str().len() - 1]).await.unwrap(), first);
        assert_eq!(f.service.find_task(first.as_str()).await.unwrap(), first);
        let several = f.service.find_task("mo_").await.unwrap_err();
        assert!(matches!(&several, ServiceError::AmbiguousTask { total: 2, candidates, .. } if candidates.len() == 2));
        for none in ["zz", "", "MO_x"] {
            let refused = f.service.find_task(none).await.unwrap_err();
            assert!(matches!(refused, ServiceError::Invalid { field: "task_id", .. }), "{none}: {refused}");
        }
        assert_eq!(f.service.completions(Completable::TaskId, "zz", None).await.unwrap(), Completions::default());
        let pool = f.service.scanners().default_pool().unwrap().name.to_string();
        let pools = f.service.completions(Completable::Pool, &pool, None).await.unwrap();
        assert!(pools.values.contains(&pool), "{pools:?}");
        let profiles = f.service.completions(Completable::Profile, "B", None).await.unwrap();
        assert_eq!(profiles.values, ["brief"]);
    }
}
