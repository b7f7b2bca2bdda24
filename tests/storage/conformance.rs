//! Every place of tasks keeps to one suite: a data directory, and buckets of each make that this machine has.

use std::sync::Arc;

use async_trait::async_trait;
use nessus_mcp_lib::{
    TaskManager,
    config::{DataUrl, Settings},
    testing::store_conformance::StoreHarness,
    time::SystemClock,
};
use nessus_mcp_tests::s3::{BUCKET, SimulatedS3};

/// Opens the tasks with a cache directory of its own each time, as processes on several machines do.
async fn open(settings: &Settings, caches: &tempfile::TempDir) -> TaskManager {
    let cache = tempfile::tempdir_in(caches.path()).unwrap().keep();
    let settings = settings.clone().with_cache_dir(cache);
    TaskManager::open_for(&settings, Arc::new(SystemClock)).await.unwrap()
}

mod directory {
    use super::*;

    struct Directory(tempfile::TempDir);

    #[async_trait]
    impl StoreHarness for Directory {
        async fn open(&self) -> TaskManager {
            let settings = Settings::new(self.0.path().join("data"), "unused");
            open(&settings, &self.0).await
        }
    }

    nessus_mcp_lib::store_conformance_tests!(async { Directory(tempfile::tempdir().unwrap()) });
}

mod simulated_s3 {
    use super::*;

    struct Simulated {
        server: SimulatedS3,
        directory: tempfile::TempDir,
    }

    #[async_trait]
    impl StoreHarness for Simulated {
        async fn open(&self) -> TaskManager {
            let DataUrl::Bucket(bucket) = format!("s3://{BUCKET}/some/prefix").parse().unwrap() else {
                unreachable!("it is a bucket")
            };
            let options = self.server.environment();
            let bucket = options
                .into_iter()
                .fold(bucket, |bucket, (name, value)| bucket.with_option(name.to_ascii_lowercase(), value));
            let settings = Settings::new(self.directory.path(), "unused").with_data_url(DataUrl::Bucket(bucket));
            open(&settings, &self.directory).await
        }
    }

    nessus_mcp_lib::store_conformance_tests!(async {
        Simulated { server: SimulatedS3::start().await, directory: tempfile::tempdir().unwrap() }
    });
}
