//! The kinds of scan the scanner offers.

/// A kind of scan.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) uuid: &'static str,
    /// Whether only a Nessus Manager makes scans of it.
    pub(super) manager_only: bool,
}

/// The template of scans by a policy.
pub(super) const CUSTOM: &str = "custom";

/// The names and ids of the recorded list; they have been the same for years.
pub(super) static TEMPLATES: [Template; 13] = [
    template("basic", "Basic Network Scan", "731a8e52-3ea6-a291-ec0a-d2ff0619c19d7bd788d6be818b65"),
    template("advanced", "Advanced Scan", "ad629e16-03b6-8c1d-cef6-ef8c9dd3c658d24bd260ef5f9e66"),
    template("discovery", "Host Discovery", "bbd4f805-3966-d464-b2d1-0079eb89d69708c3a05ec2812bcf"),
    template("advanced_dynamic", "Advanced Dynamic Scan", "939a2145-95e3-0c3f-f1cc-761db860e4eed37b6eee77f9e101"),
    template("webapp", "Web Application Tests", "c3cbcd46-329f-a9ed-1077-554f8c2af33d0d44f09d736969bf"),
    template("patch_audit", "Credentialed Patch Audit", "0625147c-30fe-d79f-e54f-ce7ccd7523e9b63d84cb81c23c2f"),
    template("malware", "Malware Scan", "d16c51fa-597f-67a8-9add-74d5ab066b49a918400c42a035f7"),
    template("compliance", "Policy Compliance Auditing", "40345bfc-48be-37bc-9bce-526bdce37582e8fee83bcefdc746"),
    template("pci", "Internal PCI Network Scan", "e460ea7c-7916-d001-51dc-e43ef3168e6e20f1d97bdebf4a49"),
    template("asv", "PCI Quarterly External Scan", "cfc46c2d-30e7-bb2b-3b92-c75da136792d080c1fffcc429cfd"),
    template("wannacry", "WannaCry Ransomware", "861a8b95-f04c-40b0-ece6-263b1bec457c09cfc122c9666645"),
    template("custom", "Custom Scan", "ab4bacd2-05f6-425c-9d79-3ba3940ad1c24e51e1f403febe40"),
    Template {
        manager_only: true,
        ..template("mobile", "Mobile Device Scan", "00000000-0000-0000-0000-0000000000000000000000003061")
    },
];

const fn template(name: &'static str, title: &'static str, uuid: &'static str) -> Template {
    Template { name, title, uuid, manager_only: false }
}

pub(super) fn template_by_uuid(uuid: &str) -> Option<&'static Template> {
    TEMPLATES.iter().find(|template| template.uuid == uuid)
}
