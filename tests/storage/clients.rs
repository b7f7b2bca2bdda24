//! Clients of the stores, made of what a process finds in its environment.

use std::{sync::Arc, time::Duration};

use nessus_mcp_tests::{other_stores, s3};
use object_store::{
    BackoffConfig, ObjectStore, RetryConfig,
    aws::AmazonS3Builder,
    azure::{AzureAccessKey, AzureAuthorizer, AzureCredential, MicrosoftAzureBuilder},
    client::{HttpRequest, HttpRequestBody},
};

fn retries(most: usize) -> RetryConfig {
    let (init_backoff, max_backoff) = (Duration::from_millis(1), Duration::from_millis(20));
    let backoff = BackoffConfig { init_backoff, max_backoff, base: 2. };
    RetryConfig { max_retries: most, retry_timeout: Duration::from_secs(60), backoff }
}

/// A client of an S3 server that tries again so many times.
pub(crate) fn s3(environment: &[(&str, String)], most: usize) -> Arc<dyn ObjectStore> {
    let builder = environment.iter().fold(AmazonS3Builder::new(), |builder, (name, value)| {
        builder.with_config(name.to_ascii_lowercase().parse().unwrap(), value)
    });
    Arc::new(builder.with_bucket_name(s3::BUCKET).with_retry(retries(most)).build().unwrap())
}

/// A client of azurite, with the container made.
pub(crate) async fn azurite(azurite: &other_stores::Azurite) -> Arc<dyn ObjectStore> {
    create_container(azurite).await;
    let builder = azurite.environment().iter().fold(MicrosoftAzureBuilder::new(), |builder, (name, value)| {
        builder.with_config(name.to_ascii_lowercase().parse().unwrap(), value)
    });
    Arc::new(builder.with_container_name(other_stores::BUCKET).with_retry(retries(0)).build().unwrap())
}

/// Makes the container of azurite.
pub(crate) async fn create_container(azurite: &other_stores::Azurite) {
    let url = format!("{}/{}?restype=container", azurite.url(), other_stores::BUCKET);
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.method_mut() = reqwest::Method::PUT;
    *request.uri_mut() = url.parse().unwrap();
    request.headers_mut().insert("content-length", "0".parse().unwrap());
    let key = AzureCredential::AccessKey(AzureAccessKey::try_new(other_stores::Azurite::KEY).unwrap());
    AzureAuthorizer::new(&key, other_stores::Azurite::ACCOUNT).try_authorize(&mut request).unwrap();
    let made = reqwest::Client::new().put(url).headers(request.headers().clone()).send().await.unwrap();
    let status = made.status();
    assert!(status.is_success(), "{status}: {}", made.text().await.unwrap());
}
