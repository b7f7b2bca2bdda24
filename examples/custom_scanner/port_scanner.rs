//! A scanner that connects to ports of loopback addresses and reports the open ones.

use std::{
    collections::HashMap,
    fmt::Write as _,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use nessus_mcp_lib::{
    ScannerInterface,
    error::counted,
    ids::ScanId,
    scanner::{
        ExportSink, ExportSummary, MarkedScan, RequestSent, ScanBasis, ScanHost, ScanOffer, ScanRequest, ScanState,
        ScanStatus, ScannerError, ScannerProperties, permit_is_valid,
    },
    targets::{TargetError, TargetSet},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// Connects to these ports, one after the other.
#[derive(Debug)]
pub(crate) struct PortScanner {
    ports: Arc<[u16]>,
    pause: Duration,
    scans: Arc<Mutex<HashMap<String, Scan>>>,
}

#[derive(Debug)]
struct Scan {
    request: ScanRequest,
    hosts: Vec<IpAddr>,
    state: ScanState,
    /// How many connections were tried so far.
    tried: usize,
    open: Vec<(IpAddr, u16)>,
}

impl PortScanner {
    /// Tries these ports of every host, with a pause before each.
    pub(crate) fn new(ports: Vec<u16>, pause: Duration) -> Self {
        Self { ports: ports.into(), pause, scans: Arc::default() }
    }

    /// Calls `look` with a scan, under the lock. The lock is never held while a connection is tried.
    fn with<T>(
        &self,
        scan: &ScanId,
        look: impl FnOnce(&mut Scan) -> Result<T, ScannerError>,
    ) -> Result<T, ScannerError> {
        let mut scans = lock(&self.scans);
        look(scans.get_mut(scan.as_str()).ok_or_else(|| ScannerError::NotFound(format!("scan {scan}")))?)
    }
}

fn lock(scans: &Mutex<HashMap<String, Scan>>) -> MutexGuard<'_, HashMap<String, Scan>> {
    scans.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The hosts behind the targets, which may be addresses, ranges and networks: a [`TargetSet`] knows each of them.
fn hosts(targets: &str) -> Result<Vec<IpAddr>, ScannerError> {
    let targets: TargetSet = targets.parse().map_err(|error: TargetError| ScannerError::Rejected(error.to_string()))?;
    if targets.host_count() > 256 {
        return Err(ScannerError::Rejected("no more than 256 hosts are scanned".to_owned()));
    }
    if targets.names().next().is_some() || !targets.addresses().all(|address| address.is_loopback()) {
        return Err(ScannerError::Rejected("only loopback addresses are scanned".to_owned()));
    }
    Ok(targets.addresses().collect())
}

/// Fails when this worker's lease may have expired: another worker may hold the task, and the scan would run twice.
fn in_time(call: &str) -> Result<(), ScannerError> {
    if permit_is_valid() {
        return Ok(());
    }
    let message = "the lease may have expired".to_owned();
    Err(ScannerError::Transport { call: call.to_owned(), message, sent: RequestSent::No })
}

#[async_trait]
impl ScannerInterface for PortScanner {
    async fn create(&self, request: &ScanRequest) -> Result<ScanId, ScannerError> {
        let hosts = hosts(&request.targets)?;
        if matches!(request.basis, ScanBasis::Policy { .. }) {
            return Err(ScannerError::Unsupported("policies"));
        }
        if request.logs_in {
            return Err(ScannerError::Unsupported("credentials"));
        }
        in_time("create")?;
        let mut scans = lock(&self.scans);
        let numbers = scans.keys().filter_map(|id| id.parse::<u64>().ok());
        let id = ScanId::from(numbers.max().unwrap_or_default() + 1);
        let (request, state) = (request.clone(), ScanState::Created);
        scans.insert(id.to_string(), Scan { request, hosts, state, tried: 0, open: Vec::new() });
        Ok(id)
    }

    async fn launch(&self, scan: &ScanId) -> Result<Option<String>, ScannerError> {
        let hosts = self.with(scan, |scan| {
            if scan.state != ScanState::Created {
                return Err(ScannerError::Conflict("it is already launched".to_owned()));
            }
            in_time("launch")?;
            scan.state = ScanState::Running;
            Ok(scan.hosts.clone())
        })?;
        // The scan goes on even when the caller is dropped.
        let run = Run { scans: Arc::clone(&self.scans), id: scan.to_string(), pause: self.pause };
        tokio::spawn(run.through(hosts, Arc::clone(&self.ports)));
        Ok(Some(format!("run-{scan}")))
    }

    async fn status(&self, scan: &ScanId) -> Result<ScanStatus, ScannerError> {
        let ports = self.ports.len();
        self.with(scan, |known| {
            let mut status = ScanStatus::new(known.state);
            if known.state != ScanState::Created {
                let all = (known.hosts.len() * ports).max(1);
                status.progress = u8::try_from(known.tried * 100 / all).ok();
                status.hosts = Some(known.begun(ports).len() as u64);
                status.run_uuid = Some(format!("run-{scan}"));
            }
            // The last connection is tried a moment before the scan is complete: 100 % is for completed scans only.
            if known.state != ScanState::Completed {
                status.progress = status.progress.map(|progress| progress.min(99));
            }
            Ok(status)
        })
    }

    async fn export(&self, scan: &ScanId, sink: &mut ExportSink) -> Result<ExportSummary, ScannerError> {
        let ports = self.ports.len();
        let document = self.with(scan, |scan| {
            let ended = scan.state.is_terminal().then(|| scan.document(ports));
            ended.ok_or_else(|| ScannerError::Conflict("it has not ended".to_owned()))
        })?;
        let failed = |error: std::io::Error| ScannerError::Storage(error.to_string());
        sink.write_all(document.as_bytes()).await.map_err(failed)?;
        sink.flush().await.map_err(failed)?;
        Ok(ExportSummary::new(document.len() as u64))
    }

    async fn stop(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.with(scan, |scan| {
            if scan.state == ScanState::Running {
                scan.state = ScanState::Cancelled;
            }
            Ok(())
        })
    }

    async fn kill(&self, scan: &ScanId) -> Result<(), ScannerError> {
        self.stop(scan).await
    }

    async fn pause(&self, _scan: &ScanId) -> Result<(), ScannerError> {
        Err(ScannerError::Unsupported("holding a scan"))
    }

    async fn resume(&self, _scan: &ScanId) -> Result<(), ScannerError> {
        Err(ScannerError::Unsupported("holding a scan"))
    }

    async fn delete(&self, scan: &ScanId) -> Result<(), ScannerError> {
        let mut scans = lock(&self.scans);
        if scans.get(scan.as_str()).is_some_and(|scan| scan.state == ScanState::Running) {
            return Err(ScannerError::Conflict("it is running".to_owned()));
        }
        scans.remove(scan.as_str());
        Ok(())
    }

    async fn trash(&self, _scan: &ScanId) -> Result<(), ScannerError> {
        Err(ScannerError::Unsupported("a trash"))
    }

    async fn forget_credentials(&self, _scan: &ScanId) -> Result<(), ScannerError> {
        Ok(()) // `create` takes none.
    }

    async fn hosts(&self, _scan: &ScanId) -> Result<Vec<ScanHost>, ScannerError> {
        Err(ScannerError::Unsupported("the hosts of a scan"))
    }

    async fn find_by_marker(&self, marker: &str) -> Result<Option<ScanId>, ScannerError> {
        let scans = lock(&self.scans);
        let found = scans.iter().filter(|(_, scan)| scan.request.marker == marker);
        let mut found: Vec<_> = found.map(|(id, _)| ScanId::new(id.as_str())).collect();
        if found.len() > 1 {
            return Err(ScannerError::AmbiguousMarker { marker: marker.to_owned(), scans: found });
        }
        Ok(found.pop())
    }

    async fn marked_scans(&self) -> Result<Vec<MarkedScan>, ScannerError> {
        Err(ScannerError::Unsupported("a list of scans"))
    }

    async fn offer(&self) -> Result<ScanOffer, ScannerError> {
        Err(ScannerError::Unsupported("a list of templates and policies"))
    }

    async fn properties(&self) -> Result<ScannerProperties, ScannerError> {
        let mut properties = ScannerProperties::default();
        properties.product =
            Some(format!("scanner of {}", counted(self.ports.len(), "loopback port", "loopback ports")));
        Ok(properties)
    }

    async fn close(&self) {}
}

/// A running scan.
struct Run {
    scans: Arc<Mutex<HashMap<String, Scan>>>,
    id: String,
    pause: Duration,
}

impl Run {
    async fn through(self, hosts: Vec<IpAddr>, ports: Arc<[u16]>) {
        for host in hosts {
            for port in ports.iter() {
                tokio::time::sleep(self.pause).await;
                if !self.goes_on(|_| {}) {
                    return;
                }
                let is_open = TcpStream::connect((host, *port)).await.is_ok();
                self.goes_on(|scan| {
                    scan.tried += 1;
                    scan.open.extend(is_open.then_some((host, *port)));
                });
            }
        }
        self.goes_on(|scan| scan.state = ScanState::Completed);
    }

    /// Changes the scan if it is still running, and returns whether it is.
    fn goes_on(&self, change: impl FnOnce(&mut Scan)) -> bool {
        let mut scans = lock(&self.scans);
        let running = scans.get_mut(&self.id).filter(|scan| scan.state == ScanState::Running);
        running.map(change).is_some()
    }
}

impl Scan {
    /// The hosts of which at least one port was tried.
    fn begun(&self, ports: usize) -> &[IpAddr] {
        let begun = self.tried.div_ceil(ports.max(1));
        &self.hosts[..begun.min(self.hosts.len())]
    }

    /// What was found, as a .nessus document of version 2.
    fn document(&self, ports: usize) -> String {
        let name = escaped(&self.request.scan_name());
        let mut text = format!(
            "<?xml version=\"1.0\" ?>\n<NessusClientData_v2>\n<Policy><policyName>Ports</policyName></Policy>\n\
             <Report name=\"{name}\">\n"
        );
        for host in self.begun(ports) {
            let _ = writeln!(
                text,
                "<ReportHost name=\"{host}\"><HostProperties><tag name=\"host-ip\">{host}</tag></HostProperties>"
            );
            for (_, port) in self.open.iter().filter(|(open, _)| open == host) {
                let _ = writeln!(
                    text,
                    "<ReportItem port=\"{port}\" svc_name=\"unknown\" protocol=\"tcp\" severity=\"0\" pluginID=\"11219\" \
                     pluginName=\"Open TCP port\" pluginFamily=\"Port scanners\"><risk_factor>None</risk_factor>\
                     <synopsis>Something listens on this port.</synopsis></ReportItem>"
                );
            }
            text.push_str("</ReportHost>\n");
        }
        text.push_str("</Report>\n</NessusClientData_v2>\n");
        text
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
