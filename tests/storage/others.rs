//! Object stores of other people.

use nessus_mcp_tests::other_stores::{Azurite, Moto};
use object_store::{Error, ObjectStoreExt as _, PutMode, UpdateVersion, path::Path};

use crate::{
    clients,
    writers::{Writers, create, text},
};

/// One after the other: see [`Moto`].
#[tokio::test]
async fn moto_keeps_the_conditions_of_writes() {
    let Some(moto) = Moto::start() else { return };
    let store = clients::s3(&moto.environment(), 0);
    create(&*store, "task.json", "1").await.unwrap();
    assert!(matches!(create(&*store, "task.json", "2").await, Err(Error::AlreadyExists { .. })));
    let path = Path::from("task.json");
    let first = PutMode::Update(UpdateVersion { e_tag: store.head(&path).await.unwrap().e_tag, version: None });
    store.put_opts(&path, "3".into(), first.clone().into()).await.unwrap();
    let again = store.put_opts(&path, "4".into(), first.into()).await;
    assert!(matches!(again, Err(Error::Precondition { .. })), "{again:?}");
    assert_eq!(text(&*store, "task.json").await.unwrap(), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_conditional_writes_of_azurite_are_atomic() {
    let Some(azurite) = Azurite::start() else { return };
    Writers::all_at(&clients::azurite(&azurite).await).await.assert_atomic();
}
