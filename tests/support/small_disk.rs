//! A data directory on a small disk of its own, which a test can fill and mount read-only.
//!
//! The disk is a tmpfs in a mount namespace of its own (Linux). Where the system does not let us make one, [`SmallDisk::mount`]
//! says so in one line and returns nothing.
#![expect(clippy::missing_panics_doc, reason = "a test whose disk fails cannot go on")]
#![expect(clippy::print_stderr, reason = "what is not tried is said where a test run says it")]

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::fs::statvfs;

use crate::{
    deployment::Deployment,
    processes::{Process, Program},
};

/// A disk, for as long as it lives.
#[derive(Debug)]
pub struct SmallDisk {
    holder: Process,
    place: PathBuf,
}

impl SmallDisk {
    /// Mounts a disk of so many MiB as the data directory of a deployment, for the processes that are started [on](Self::on) it.
    pub fn mount(deployment: &Deployment, mebibytes: u32) -> Option<Self> {
        let permitted =
            Command::new("unshare").args(["-rm", "true"]).output().is_ok_and(|ended| ended.status.success());
        if !permitted || !Path::new("/proc/self/ns/mnt").exists() {
            eprintln!("SKIPPED: this system makes no mount namespace (`unshare -rm true`), so no small disk is tried");
            return None;
        }
        let place = deployment.data();
        fs::create_dir_all(&place).unwrap_or_else(|error| panic!("cannot create {}: {error}", place.display()));
        let script = format!("mount -t tmpfs -o size={mebibytes}m tmpfs \"$0\" && echo mounted && exec sleep 86400");
        let holder = deployment.start(&Program::new("unshare").args(["-rm", "sh", "-c", &script]).arg(&place));
        holder.wait_for_line("the disk", |line| (line == "mounted").then_some(()));
        Some(Self { holder, place })
    }

    /// The program, started where the disk is.
    pub fn on(&self, program: Program) -> Program {
        program.through(&self.inside())
    }

    fn inside(&self) -> Program {
        let holder = self.holder.id().to_string();
        Program::new("nsenter").args(["--preserve-credentials", "-U", "-m", "-t", &holder, "--"])
    }

    /// Where a path of the data directory is for the test.
    pub fn path(&self, path: &str) -> PathBuf {
        let place = self.place.strip_prefix("/").unwrap_or(&self.place);
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(place).join(path)
    }

    /// Fills the disk until so many bytes are left, or none.
    pub fn fill_up_to(&self, left: u64) {
        let path = self.path("filler");
        let mut filler =
            File::options().create(true).append(true).open(&path).unwrap_or_else(|error| panic!("{error}"));
        let piece = vec![0_u8; 4096];
        loop {
            let free = statvfs(self.path("")).unwrap_or_else(|error| panic!("{error}"));
            if free.f_bavail.saturating_mul(free.f_frsize) <= left {
                return;
            }
            match filler.write_all(&piece) {
                Err(full) if full.kind() == io::ErrorKind::StorageFull => return,
                written => written.unwrap_or_else(|error| panic!("{error}")),
            }
        }
    }

    /// Takes away what filled it.
    pub fn clear(&self) {
        fs::remove_file(self.path("filler")).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Mounts it read-only, or for writing again.
    pub fn make_read_only(&self, read_only: bool) {
        let how = if read_only { "remount,ro" } else { "remount,rw" };
        let ended = Program::new("mount").args(["-o", how]).arg(&self.place).through(&self.inside()).run();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}
