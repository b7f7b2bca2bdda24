//! Object stores of other people.

use nessus_mcp_tests::other_stores::{Azurite, Moto};

use crate::{clients, writers::Writers};

#[tokio::test(flavor = "multi_thread")]
async fn the_conditional_writes_of_moto_are_atomic() {
    let Some(moto) = Moto::start() else { return };
    Writers::all_at(&clients::s3(&moto.environment(), 0)).await.assert_atomic();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_conditional_writes_of_azurite_are_atomic() {
    let Some(azurite) = Azurite::start() else { return };
    Writers::all_at(&clients::azurite(&azurite).await).await.assert_atomic();
}
