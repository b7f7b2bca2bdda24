//! How to add your own type of scanner. The library does not know it, but runs tasks on it and serves its findings.
//!
//! ```console
//! cargo run --example custom_scanner
//! ```
//!
//! `port_scanner.rs` implements `ScannerInterface` by connecting to ports of loopback. `drive.rs` puts it into a pool and
//! lets a worker use it. `docs/scanners.md` explains each step. `tests/scanner/custom.rs` runs the conformance suite on
//! this scanner.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod drive;
mod port_scanner;

use std::{net::TcpListener, time::Duration};

use self::port_scanner::PortScanner;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // One open port to find, and one closed port.
    let (open, closed) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    let ports = vec![open.local_addr()?.port(), closed.local_addr()?.port()];
    drop(closed);
    println!("scanning the ports {ports:?} of 127.0.0.1");
    let data = std::env::temp_dir().join(format!("custom-scanner-{}", std::process::id()));
    let findings = drive::scan(PortScanner::new(ports, Duration::from_millis(200)), &data).await?;
    println!("{findings}");
    std::fs::remove_dir_all(data)?;
    Ok(())
}
