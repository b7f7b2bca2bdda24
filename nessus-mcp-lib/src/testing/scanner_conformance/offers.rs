//! What a scan is made of.

use super::{ScannerHarness, assert_counted, marker, request};
use crate::{
    error::{Classified as _, ErrorKind},
    scanner::{ScanBasis, ScannerError},
};

/// A name that no scanner has for anything.
const NOBODYS: &str = "nobody-s-ca61";

/// Each template and each policy that is offered can be used by its name, and a policy also by its id.
pub async fn what_is_offered_can_be_scanned_with(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let offer = match scanner.offer().await {
        Err(ScannerError::Unsupported(_)) => return,
        offer => offer.unwrap(),
    };
    let mut bases = vec![ScanBasis::default()];
    bases.extend(offer.usable_templates().map(|template| ScanBasis::template(&template.name)));
    bases.extend(offer.allowed_policies().map(|policy| ScanBasis::policy(&policy.id)));
    let is_alone = |name: &str| offer.policies.iter().filter(|policy| policy.name == name).count() == 1;
    let names = offer.allowed_policies().filter(|policy| is_alone(&policy.name));
    bases.extend(names.map(|policy| ScanBasis::policy(&policy.name)));
    for (number, basis) in (1..).zip(bases) {
        offer.check(&basis).unwrap();
        let mut wanted = request(harness, number);
        wanted.basis = basis;
        match scanner.create(&wanted).await {
            Ok(_) => assert_counted(harness, number, 1, 0).await,
            // The list does not say which policies log in, and this scan must not.
            Err(ScannerError::PolicyLogsIn(_)) => assert_counted(harness, number, 0, 0).await,
            Err(error) => panic!("{:?}: {error}", wanted.basis),
        }
    }
}

/// A scan that is made of something else than was asked for finds other things, and nobody sees why. So a policy that does not
/// exist, or policies at all where there are none, are refused, and so are unknown templates by a scanner that can tell them.
pub async fn what_is_not_offered_creates_nothing(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let mut wrong = vec![ScanBasis::policy(NOBODYS)];
    if scanner.offer().await.is_ok() {
        wrong.push(ScanBasis::template(NOBODYS));
    }
    for (number, basis) in (1..).zip(wrong) {
        let mut wanted = request(harness, number);
        wanted.basis = basis;
        let error = scanner.create(&wanted).await.unwrap_err();
        assert_eq!((error.kind(), error.may_have_acted()), (ErrorKind::InvalidInput, false), "{error:?}");
        assert_eq!(scanner.find_by_marker(&marker(number)).await.unwrap(), None);
        assert_counted(harness, number, 0, 0).await;
    }
}
