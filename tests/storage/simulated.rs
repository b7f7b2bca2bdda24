//! The simulated S3 itself, asked by the client that the programs use.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{StreamExt as _, TryStreamExt as _};
use nessus_mcp_tests::s3::{BUCKET, ConditionalWrites, Fault, FaultKind, Operation, S3Error, SimulatedS3};
use object_store::{
    Error, GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, UpdateVersion, aws::AmazonS3Builder, path::Path,
};
use rstest::rstest;

use crate::{
    clients,
    writers::{Writers, create, text},
};

fn client(s3: &SimulatedS3, retries: usize) -> Arc<dyn ObjectStore> {
    clients::s3(&s3.environment(), retries)
}

#[tokio::test(flavor = "multi_thread")]
async fn its_conditional_writes_are_atomic() {
    let s3 = SimulatedS3::start().await;
    let writers = Writers::all_at(&client(&s3, 0)).await;
    writers.assert_atomic();
    let of_status = |status| s3.requests().iter().filter(|request| request.status == Some(status)).count();
    assert_eq!(of_status(412), writers.refused());
}

#[tokio::test]
async fn a_lost_reply_leaves_its_write() {
    let s3 = SimulatedS3::start().await;
    let store = client(&s3, 0);
    s3.inject(Fault::new(FaultKind::ReplyLost).on(Operation::Put));
    create(&*store, "task.json", "first").await.unwrap_err();
    assert_eq!(text(&*store, "task.json").await.unwrap(), "first");
    assert!(matches!(create(&*store, "task.json", "second").await, Err(Error::AlreadyExists { .. })));
    // And a request that is lost on its way leaves nothing.
    s3.inject(Fault::new(FaultKind::Lost).on(Operation::Put));
    create(&*store, "other.json", "first").await.unwrap_err();
    create(&*store, "other.json", "second").await.unwrap();
    assert_eq!(text(&*store, "other.json").await.unwrap(), "second");
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_an_error_and_then_whole() {
    let s3 = SimulatedS3::start().await;
    let content = "0123456789".repeat(100_000);
    s3.put(BUCKET, "export", content.clone());
    s3.inject(Fault::new(FaultKind::CutAfter(70_000)).on(Operation::Get));
    text(&*client(&s3, 0), "export").await.unwrap_err();
    assert_eq!(s3.requests().last().unwrap().sent, 70_000);
    // The client asks for the rest.
    s3.inject(Fault::new(FaultKind::CutAfter(70_000)).on(Operation::Get));
    assert_eq!(text(&*client(&s3, 1), "export").await.unwrap(), content);
    assert_eq!(s3.requests().last().unwrap().range.as_deref(), Some("bytes=70000-999999"));
}

#[tokio::test]
async fn a_list_has_every_key_in_its_pages() {
    let s3 = SimulatedS3::start().await;
    let store = client(&s3, 0);
    let keys: BTreeSet<String> = (0..2500).map(|number| format!("tasks/{:03}/{number:04}", number / 10)).collect();
    for key in &keys {
        s3.put(BUCKET, key, "x");
    }
    s3.put(BUCKET, "tasks.json", "x");
    let prefix = Path::from("tasks");
    let listed: BTreeSet<String> =
        store.list(Some(&prefix)).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    assert_eq!(listed, keys);
    assert_eq!(s3.requests().len(), 3);
    let below = store.list_with_delimiter(Some(&prefix)).await.unwrap();
    assert_eq!((below.common_prefixes.len(), below.objects.len()), (250, 0));
    let after = store.list_with_offset(Some(&prefix), &Path::from("tasks/248/2485"));
    assert_eq!(after.try_collect::<Vec<_>>().await.unwrap().len(), 14);
    let paths = futures_util::stream::iter(keys.into_iter().map(|key| Ok(Path::from(key)))).boxed();
    let deleted: Vec<_> = store.delete_stream(paths).try_collect().await.unwrap();
    assert_eq!(deleted.len(), 2500);
    assert_eq!(s3.objects(BUCKET).into_keys().collect::<Vec<_>>(), ["tasks.json"]);
}

#[tokio::test]
async fn ranges_and_conditions_of_reads() {
    let s3 = SimulatedS3::start().await;
    let store = client(&s3, 0);
    let path = Path::from("a key/with +%&<spaces>");
    store.put(&path, "0123456789".into()).await.unwrap();
    assert_eq!(store.get_range(&path, 2..5).await.unwrap(), "234");
    assert_eq!(store.get_ranges(&path, &[0..1, 9..10]).await.unwrap(), ["0", "9"]);
    assert_eq!(store.get_range(&path, 8..50).await.unwrap(), "89");
    assert_eq!(s3.requests().iter().map(|request| request.sent).sum::<u64>(), 3 + 10 + 2);
    store.get_range(&path, 50..51).await.unwrap_err();
    let meta = store.head(&path).await.unwrap();
    assert_eq!((meta.size, meta.location), (10, path.clone()));
    // What `md5sum` says of the content.
    assert_eq!(meta.e_tag.as_deref(), Some("\"781e5e245d69b566979b86e28d23f2c7\""));
    let if_none_match = GetOptions { if_none_match: meta.e_tag.clone(), ..GetOptions::default() };
    assert!(matches!(store.get_opts(&path, if_none_match).await, Err(Error::NotModified { .. })));
    let if_match = |etag: Option<String>| GetOptions { if_match: etag, ..GetOptions::default() };
    assert!(matches!(store.get_opts(&path, if_match(Some("\"0\"".into()))).await, Err(Error::Precondition { .. })));
    store.get_opts(&path, if_match(meta.e_tag)).await.unwrap();
    store.delete(&path).await.unwrap();
    assert!(matches!(store.head(&path).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn stale_reads_show_what_was_there_before() {
    let s3 = SimulatedS3::start().await;
    let store = client(&s3, 0);
    s3.put(BUCKET, "a", "1");
    s3.put(BUCKET, "b", "old");
    s3.put(BUCKET, "b", "new");
    s3.inject(Fault::new(FaultKind::Stale).key("b").count(2));
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(text(&*store, "b").await.unwrap());
    }
    assert_eq!(seen, ["old", "old", "new"]);
    s3.put(BUCKET, "c", "1");
    s3.inject(Fault::new(FaultKind::Stale).on(Operation::List));
    for keys in [2, 3] {
        assert_eq!(store.list(None).try_collect::<Vec<_>>().await.unwrap().len(), keys);
    }
}

#[tokio::test]
async fn a_held_request_waits_and_a_deleted_key_conflicts() {
    let s3 = SimulatedS3::start().await;
    let store = client(&s3, 0);
    let path = Path::from("task.json");
    let version = UpdateVersion::from(store.put(&path, "1".into()).await.unwrap());
    s3.inject(Fault::new(FaultKind::Held).on(Operation::Put));
    let held = tokio::spawn({
        let (store, path) = (Arc::clone(&store), path.clone());
        async move { store.put_opts(&path, "2".into(), PutMode::Update(version).into()).await }
    });
    s3.wait_for("the put", |requests| requests.iter().any(|request| request.fault == Some(FaultKind::Held))).await;
    assert_eq!(text(&*store, "task.json").await.unwrap(), "1");
    store.delete(&path).await.unwrap();
    s3.clear_faults();
    held.await.unwrap().unwrap_err();
    assert_eq!(s3.requests().iter().filter(|request| request.status == Some(409)).count(), 1);
    assert!(s3.objects(BUCKET).is_empty());
}

#[rstest]
#[case(S3Error::AccessDenied, 403)]
#[case(S3Error::InvalidAccessKeyId, 403)]
#[case(S3Error::ExpiredToken, 400)]
#[case(S3Error::SlowDown, 503)]
#[case(S3Error::NotImplemented, 501)]
#[tokio::test]
async fn errors_on_demand(#[case] error: S3Error, #[case] status: u16) {
    let s3 = SimulatedS3::start().await;
    let store = client(&s3, 0);
    s3.inject(Fault::answer(error).on(Operation::Put).key("json").skip(1).count(2));
    let mut statuses = Vec::new();
    for key in ["1.json", "2.json", "other", "3.json", "4.json"] {
        let done = store.put(&Path::from(key), "x".into()).await;
        if let Err(failed) = &done {
            assert!(format!("{failed:?}").contains(&format!("{error:?}")), "{failed:?}");
        }
        statuses.push(s3.requests().last().unwrap().status.unwrap());
        assert_eq!(done.is_ok(), statuses.last() == Some(&200));
    }
    assert_eq!(statuses, [200, status, 200, status, 200]);
}

#[tokio::test]
async fn who_is_wrong_is_told_so() {
    let s3 = SimulatedS3::start().await;
    let failure = |store: Arc<dyn ObjectStore>| async move {
        format!("{:?}", store.put(&Path::from("key"), "x".into()).await.unwrap_err())
    };
    s3.shift_clock(3600);
    assert!(failure(client(&s3, 0)).await.contains("RequestTimeTooSkewed"));
    s3.shift_clock(0);
    let of = |key: &str, bucket: &str| {
        let builder = AmazonS3Builder::new().with_endpoint(s3.url()).with_allow_http(true).with_region("us-east-1");
        let builder = builder.with_access_key_id(key).with_secret_access_key("secret").with_bucket_name(bucket);
        Arc::new(builder.build().unwrap())
    };
    assert!(failure(of("AKIAUNKNOWN", BUCKET)).await.contains("InvalidAccessKeyId"));
    assert!(failure(of("AKIAOFTHETESTS", "missing")).await.contains("NoSuchBucket"));
    assert!(s3.objects(BUCKET).is_empty());
}

#[tokio::test]
async fn stores_without_conditional_writes() {
    let s3 = SimulatedS3::start().await;
    let store = client(&s3, 0);
    create(&*store, "key", "first").await.unwrap();
    s3.conditional_writes(ConditionalWrites::Refused);
    assert!(format!("{:?}", create(&*store, "other", "x").await.unwrap_err()).contains("NotImplemented"));
    s3.conditional_writes(ConditionalWrites::Ignored);
    create(&*store, "key", "second").await.unwrap();
    assert_eq!(text(&*store, "key").await.unwrap(), "second");
}
