//! Disks that can be filled and made read-only: file systems in memory, mounted over directories of the run.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// The size of each.
const SIZE: &str = "size=256m";
/// How long a file system that is written to is asked to turn read-only.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mounted file system; it is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// Mounts an empty file system; `None` where that is not allowed.
    pub(crate) fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap_or_else(|error| panic!("{}: {error}", at.display()));
        run("mount", &["-t", "tmpfs", "-o", SIZE, "tmpfs"], at).then(|| Self(at.to_owned()))
    }

    /// Leaves no room on it until the returned value is dropped.
    pub(crate) fn fill(&self) -> Ballast {
        let path = self.0.join("ballast");
        if let Ok(mut file) = File::create(&path) {
            let block = vec![1_u8; 1 << 16];
            while file.write_all(&block).is_ok() {}
        }
        Ballast(path)
    }

    /// Lets nobody write to it until [`allow_writes`](Self::allow_writes); whether it did: a file that is just being
    /// written stands against it.
    pub(crate) async fn forbid_writes(&self) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if run("mount", &["-o", "remount,ro"], &self.0) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }

    pub(crate) fn allow_writes(&self) {
        assert!(run("mount", &["-o", "remount,rw"], &self.0), "{} stays read-only", self.0.display());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: somebody may look at it still.
        run("umount", &["-l"], &self.0);
    }
}

/// What fills a disk.
#[derive(Debug)]
pub(crate) struct Ballast(PathBuf);

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    Command::new(program).args(arguments).arg(path).output().is_ok_and(|output| output.status.success())
}
