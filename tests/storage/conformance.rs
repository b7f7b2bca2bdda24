//! The conformance of every place of tasks: a data directory, and three makes of object stores.

use std::sync::Arc;

use async_trait::async_trait;
use nessus_mcp_lib::{
    config::{DataUrl, Settings},
    task::TaskManager,
    testing::store_conformance::StoreHarness,
    time::SystemClock,
};
use nessus_mcp_tests::{
    other_stores::{Azurite, Moto},
    s3::SimulatedS3,
};
use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::clients;

/// A place of tasks, and the server behind it, if there is one.
struct Place<S> {
    /// Each process has a data directory of its own, unless it is the place.
    directories: TempDir,
    data_url: DataUrl,
    environment: Vec<(&'static str, String)>,
    _server: S,
}

impl<S> Place<S> {
    fn new(data_url: &str, environment: Vec<(&'static str, String)>, server: S) -> Self {
        let directories = tempfile::tempdir().unwrap();
        Self { directories, data_url: data_url.parse().unwrap(), environment, _server: server }
    }
}

#[async_trait]
impl<S: Send + Sync> StoreHarness for Place<S> {
    async fn open(&self) -> TaskManager {
        let mut settings = match &self.data_url {
            DataUrl::Directory => Settings::new(self.directories.path(), "unused"),
            _ => Settings::new(self.directories.path().join(uuid::Uuid::new_v4().to_string()), "unused"),
        };
        settings.data_url = self.data_url.clone();
        let environment = self.environment.iter().map(|(name, value)| (*name, Some(value))).collect();
        let open = || Handle::current().block_on(TaskManager::open_for(&settings, Arc::new(SystemClock)));
        // Others who open a place in this process wait meanwhile.
        tokio::task::block_in_place(|| temp_env::with_vars::<_, &String, _, _>(environment, open)).unwrap()
    }
}

async fn in_a_directory() -> Place<()> {
    Place::new("file:", Vec::new(), ())
}

async fn on_the_simulated_s3() -> Place<SimulatedS3> {
    let s3 = SimulatedS3::start().await;
    Place::new("s3://nessus/of/the/tests", s3.environment(), s3)
}

async fn on_moto() -> Option<Place<Moto>> {
    let moto = Moto::start()?;
    Some(Place::new("s3://nessus", moto.environment(), moto))
}

async fn on_azurite() -> Option<Place<Azurite>> {
    let azurite = Azurite::start()?;
    clients::create_container(&azurite).await;
    Some(Place::new("az://nessus/prefix", azurite.environment(), azurite))
}

mod directory {
    nessus_mcp_lib::store_conformance_tests!(super::in_a_directory());
}

mod simulated_s3 {
    nessus_mcp_lib::store_conformance_tests!(super::on_the_simulated_s3());
}

mod moto {
    nessus_mcp_lib::store_conformance_tests!({
        let Some(place) = super::on_moto().await else { return };
        std::future::ready(place)
    });
}

mod azurite {
    nessus_mcp_lib::store_conformance_tests!({
        let Some(place) = super::on_azurite().await else { return };
        std::future::ready(place)
    });
}
