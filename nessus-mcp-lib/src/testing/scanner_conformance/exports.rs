//! What a scan has found.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    task::{Context, Poll},
};

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWrite;

use super::{ScannerHarness, completed, launched, reached, request};
use crate::{
    ids::ScanId,
    results::validate,
    scanner::{ExportSummary, RestartableWrite, ScanState, ScannerError, ScannerInterface},
    targets::TargetSet,
};

/// A sink that takes so many bytes and then fails, as a full disk does.
struct Full {
    space: usize,
    left: usize,
}

#[async_trait]
impl RestartableWrite for Full {
    async fn restart(&mut self) -> io::Result<()> {
        self.left = self.space;
        Ok(())
    }
}

impl AsyncWrite for Full {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full")));
        }
        let taken = bytes.len().min(self.left);
        self.left -= taken;
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn export(scanner: &dyn ScannerInterface, scan: &ScanId) -> Result<(ExportSummary, Vec<u8>), ScannerError> {
    let mut document = Vec::new();
    let summary = scanner.export(scan, &mut document).await?;
    Ok((summary, document))
}

/// The document is a .nessus export from its beginning to its end, and the summary speaks of it.
pub async fn an_export_is_whole_and_can_be_repeated(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let scan = completed(harness, 1).await;
    let hosts = scanner.status(&scan).await.unwrap().hosts;
    for _ in 0..2 {
        let (summary, document) = export(scanner.as_ref(), &scan).await.unwrap();
        assert_eq!(summary.bytes, document.len() as u64);
        if let Some(said) = summary.sha256 {
            let byte = |at: usize| u8::from_str_radix(said.get(at..at + 2).unwrap_or_default(), 16).unwrap();
            let said: Vec<_> = (0..said.len()).step_by(2).map(byte).collect();
            assert_eq!(said, Sha256::digest(&document).to_vec());
        }
        let stats = validate(std::io::Cursor::new(&document)).expect("it is a .nessus document");
        if let Some(hosts) = hosts {
            assert_eq!(stats.hosts, hosts, "the hosts that the status told of");
        }
    }
}

/// Targets come in their normal form: a range, a network and a list of single addresses each stand for their hosts, and each host has
/// one result. Of a network the first and the last address may be left out.
pub async fn every_target_is_one_host_of_the_export(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let first = harness.targets().parse::<TargetSet>().unwrap().addresses().next();
    let Some(IpAddr::V4(first)) = first else { panic!("a harness needs the address of an IPv4 host") };
    let at = |offset| Ipv4Addr::from_bits(first.to_bits() + offset);
    let texts = [format!("{}-{}", at(0), at(2)), format!("{first}/30"), format!("{}, {}, {}", at(4), at(0), at(2))];
    for (number, text) in (1..).zip(&texts) {
        let targets: TargetSet = text.parse().unwrap();
        let mut request = request(harness, number);
        request.targets = targets.to_string();
        let scan = scanner.create(&request).await.unwrap();
        scanner.launch(&scan).await.unwrap();
        reached(harness, &scan, |state| state == ScanState::Completed).await;
        let (_, document) = export(scanner.as_ref(), &scan).await.unwrap();
        let document = String::from_utf8(document).unwrap();
        let names = document.split("<ReportHost name=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        let mut found: Vec<IpAddr> = names.map(|name| name.parse().expect("it is named as its target")).collect();
        found.sort_unstable();
        let all: Vec<_> = targets.addresses().collect();
        let without_ends = text.contains('/').then(|| &all[1..all.len() - 1]);
        assert!(found == all || Some(&*found) == without_ends, "{} became {found:?}", request.targets);
    }
}

/// What is found later would be missing in it.
pub async fn a_running_scan_is_not_exported(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let scan = launched(harness, 1).await;
    let error = export(scanner.as_ref(), &scan).await.map(drop).unwrap_err();
    assert!(matches!(error, ScannerError::Conflict(_)), "{error:?}");
    reached(harness, &scan, |state| state == ScanState::Completed).await;
}

/// A full disk is a fault of this machine: it must not look like a failure of the scanner.
pub async fn a_sink_that_fails_is_told_from_a_scanner_that_does(harness: &dyn ScannerHarness) {
    let scanner = harness.scanner();
    let scan = completed(harness, 1).await;
    for space in [0, 300] {
        let error = scanner.export(&scan, &mut Full { space, left: space }).await.unwrap_err();
        assert!(matches!(error, ScannerError::Storage(_)), "{error:?}");
    }
    assert!(export(scanner.as_ref(), &scan).await.is_ok(), "with space it goes well");
}
