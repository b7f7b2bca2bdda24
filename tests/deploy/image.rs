//! The image: what its Dockerfile copies and starts, and its programs in a root that has nothing but what the image has.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use nessus_mcp_lib::durable;
use nessus_mcp_tests::{
    binaries,
    processes::{Process, Program},
    redis::free_port,
};

use crate::{
    files::{root, text},
    settings,
};

/// The libraries that programs in Rust link, and that the base image has: libc6 and libgcc-s1.
const LIBRARIES: [&str; 5] =
    ["ld-linux-aarch64.so.1", "ld-linux-x86-64.so.2", "libc.so.6", "libgcc_s.so.1", "libm.so.6"];

/// The instructions of the Dockerfile, with continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let lines = text("docker/Dockerfile");
    let lines = lines.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let lines = lines.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(word, rest)| (word.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

/// Those of the final image.
fn last_stage() -> Vec<(String, String)> {
    let all = instructions();
    let begin = all.iter().rposition(|(word, _)| word == "FROM").unwrap();
    all[begin..].to_vec()
}

fn one(word: &str) -> String {
    let found: Vec<_> = last_stage().into_iter().filter(|(known, _)| known == word).collect();
    assert_eq!(found.len(), 1, "{word}: {found:?}");
    found[0].1.clone()
}

/// The variables of the image.
fn environment() -> Vec<(String, String)> {
    let variables = one("ENV");
    variables
        .split(' ')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A command in the form of a list.
fn list(text: &str) -> Vec<String> {
    let list = text.split_once('[').map(|(_, list)| format!("[{list}")).unwrap();
    serde_json::from_str(&list).unwrap()
}

#[test]
fn the_image_is_made_of_what_there_is() {
    let build =
        instructions().into_iter().find(|(word, rest)| word == "RUN" && rest.contains("cargo build")).unwrap().1;
    for name in ["nessus-mcp-server", "nessus-worker", "nessus-admin"] {
        assert!(build.contains(&format!("-p {name}")) && build.contains(&format!("target/$PROFILE/{name}")), "{name}");
    }
    let profile = instructions()
        .into_iter()
        .find_map(|(word, rest)| rest.strip_prefix("PROFILE=").filter(|_| word == "ARG").map(str::to_owned));
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("[profile.{}]", profile.unwrap())));
    let rust = instructions()
        .into_iter()
        .find_map(|(word, rest)| rest.strip_prefix("RUST=").filter(|_| word == "ARG").map(str::to_owned))
        .unwrap();
    assert!(manifest.contains(&format!("rust-version = \"{rust}\"")), "the image is built with Rust {rust}");
    settings::assert_known("Dockerfile", environment().into_iter().map(|(name, _)| name));
    assert_eq!(one("USER"), "65532:65532");
    assert_eq!(list(&one("CMD")), ["nessus-mcp-server", "serve"]);
    assert_eq!(list(&one("HEALTHCHECK")), ["nessus-admin", "health"]);
    // Everything that goes into the image comes from the build; nothing of the context, where a secret may lie.
    let copies = last_stage().into_iter().filter(|(word, _)| word == "COPY");
    assert!(copies.into_iter().all(|(_, rest)| rest.starts_with("--from=build ")), "{:?}", last_stage());
}

/// The files that the build needs are let through, and cargo finds the whole workspace in them.
#[test]
fn the_context_has_what_the_build_needs() {
    let directory = tempfile::tempdir().unwrap();
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let rules: Vec<_> = ignored.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!((rules[0], rules.last().copied()), ("*", Some("**/target")), "everything is left out but what is named");
    for path in rules.iter().filter_map(|rule| rule.strip_prefix('!')) {
        let (from, to) = (root().join(path), directory.path().join(path));
        assert!(from.exists(), ".dockerignore names `{path}`, which is not there");
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).unwrap();
        }
        let copied = Program::new("cp").args(["-a"]).arg(&from).arg(&to).run();
        assert_eq!(copied.code, Some(0), "{copied:?}");
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let cargo = Program::new(cargo).args(["metadata", "--locked", "--offline", "--format-version", "1"]);
    let rustup = ["RUSTUP_HOME", "CARGO_HOME", "RUSTUP_TOOLCHAIN"].into_iter();
    let homes = rustup.filter_map(|name| Some((name, std::env::var_os(name)?)));
    let cargo = homes.fold(cargo, |cargo, (name, value)| cargo.env(name, value));
    let metadata = cargo.current_dir(directory.path()).run();
    assert_eq!(metadata.code, Some(0), "{}", metadata.stderr);
    // The build script stands behind a link.
    assert!(directory.path().join("nessus-worker/build.rs").exists());
}

/// A root with what the image has: the programs, their libraries, a volume, and nothing else.
struct Image {
    directory: tempfile::TempDir,
}

impl Image {
    fn new() -> Self {
        let image = Self { directory: tempfile::tempdir().unwrap() };
        fs::set_permissions(image.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for program in [binaries::server(), binaries::worker(), binaries::admin()] {
            image.copy(program, &Path::new("/usr/local/bin").join(program.file_name().unwrap()));
            for library in libraries(program) {
                image.copy(&library, &library);
            }
        }
        fs::create_dir_all(image.path("/etc/nessus-mcp")).unwrap();
        fs::create_dir_all(image.path("/data")).unwrap();
        fs::set_permissions(image.path("/data"), fs::Permissions::from_mode(0o700)).unwrap();
        chown(image.path("/data"), Some(65532), Some(65532)).unwrap();
        durable::replace(&image.path("/etc/nessus-mcp/scanners.yaml"), text("dev1/config/scanners.yaml").as_bytes())
            .unwrap();
        fs::set_permissions(image.path("/etc/nessus-mcp/scanners.yaml"), fs::Permissions::from_mode(0o644)).unwrap();
        image
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.directory.path().join(inside.trim_start_matches('/'))
    }

    fn copy(&self, from: &Path, inside: &Path) {
        let to = self.path(&inside.display().to_string());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, &to).unwrap();
    }

    /// A command of the image, as its user.
    fn program(&self, command: &[String]) -> Program {
        let program = Program::new("chroot").arg("--userspec=65532:65532").arg(self.directory.path());
        let program = program.arg(format!("/usr/local/bin/{}", command[0])).args(command[1..].to_vec());
        environment().into_iter().fold(program, |program, (name, value)| program.env(name, value))
    }

    fn start(&self, program: &Program) -> Process {
        program.start(&self.directory.path().join("log"))
    }
}

/// The libraries that a program loads.
fn libraries(program: &Path) -> BTreeSet<PathBuf> {
    let listed = Program::new("ldd").arg(program).run();
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let paths = listed.stdout.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    paths.map(PathBuf::from).collect()
}

#[test]
fn programs_need_the_libraries_of_the_base_image() {
    for program in [binaries::server(), binaries::worker(), binaries::admin()] {
        for library in libraries(program) {
            let name = library.file_name().unwrap().to_string_lossy().into_owned();
            assert!(
                LIBRARIES.contains(&&*name),
                "{} needs {name}, which the base image may not have",
                program.display()
            );
        }
    }
}

/// The image's command, health check and user, in a root in which that user can write to the volume only.
#[test]
fn the_image_runs_in_an_empty_root() {
    if !rustix::process::getuid().is_root() {
        eprintln!("NOT CHECKED: the image in an empty root, because only root may change the root directory");
        return;
    }
    let image = Image::new();
    let address = format!("127.0.0.1:{}", free_port());
    let server = image.program(&list(&one("CMD"))).env("MCP_BIND", &address);
    let mut process = image.start(&server);
    process.wait_for_line("the line with its address", |line| line.starts_with("listening on ").then_some(()));
    let mut check = list(&one("HEALTHCHECK"));
    check.push(format!("http://{address}"));
    let healthy = image.program(&check).run();
    assert_eq!((healthy.code, &*healthy.stdout), (Some(0), "live\n"), "{healthy:?}");
    let checked = image.program(&["nessus-admin".to_owned(), "config".to_owned(), "check".to_owned()]).run();
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(image.path("/data/queue.db").exists(), "{}", process.tail());
    assert_eq!(process.terminate(), Some(0), "{}", process.tail());
    let gone = image.program(&check).run();
    assert_eq!(gone.code, Some(69), "{gone:?}");
}
