//! Object stores of other people.

use nessus_mcp_tests::other_stores::{Azurite, Moto};

use crate::{clients, writers::Writers};

#[tokio::test(flavor = "multi_thread")]
async fn conditional_writes_of_moto() {
    let Some(moto) = Moto::start() else { return };
    let seen = Writers::all_at(&clients::s3(&moto.environment(), 0)).await;
    println!("moto: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn conditional_writes_of_azurite() {
    let Some(azurite) = Azurite::start() else { return };
    let seen = Writers::all_at(&clients::azurite(&azurite).await).await;
    println!("azurite: {seen:?}");
}
