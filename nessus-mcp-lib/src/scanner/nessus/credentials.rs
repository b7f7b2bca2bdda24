//! Logins on the targets: how they stand in a scan on the scanner, and how they get out of it again.
//!
//! A private key is uploaded as a file first. When a scan has ended its credentials are deleted from it, and that they
//! are gone is read back: the scanner shows them as instances without their secrets.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    call::{Access, Call, Expected, decode_error, details_call},
    client::{Client, before_the_call},
    wire::{Details, Editor, Uploaded},
};
use crate::{
    error::counted,
    login::{Escalation, EscalationField, ScanCredential, SshCredential, SshLogin},
    scanner::error::ScannerError,
    secret::Secret,
};

/// What escalation leads to where nothing else is said.
const ROOT: &str = "root";

/// The field `credentials` of a scan that is created with this login.
///
/// # Errors
/// As for the upload of a key; nothing was created then.
pub(super) async fn added(client: &Client, credential: &ScanCredential) -> Result<Value, ScannerError> {
    credential.check().map_err(|error| ScannerError::Rejected(error.to_string()))?;
    let host = match credential {
        ScanCredential::Ssh(ssh) => {
            let key_file = match &ssh.login {
                SshLogin::Key { private_key, .. } => Some(upload(client, private_key).await.map_err(before_the_call)?),
                SshLogin::Password(_) => None,
            };
            json!({ "SSH": [instance(ssh, key_file.as_deref())] })
        }
        ScanCredential::Windows { username, password, domain } => json!({ "Windows": [{
            "auth_method": "Password",
            "username": username,
            "password": password.expose(),
            "domain": domain,
        }]}),
    };
    Ok(json!({ "add": { "Host": host }, "edit": {}, "delete": [] }))
}

fn instance(ssh: &SshCredential, key_file: Option<&str>) -> Value {
    let mut fields = json!({
        "username": ssh.username,
        "custom_password_prompt": "",
        "target_priority_list": "",
        "elevate_privileges_with": ssh.escalation.as_ref().map_or("Nothing", |escalation| escalation.method.as_str()),
    });
    match &ssh.login {
        SshLogin::Password(password) => {
            fields["auth_method"] = "password".into();
            fields["password"] = password.expose().into();
        }
        SshLogin::Key { passphrase, .. } => {
            fields["auth_method"] = "public key".into();
            fields["private_key"] = key_file.into();
            fields["private_key_passphrase"] = passphrase.as_ref().map_or("", Secret::expose).into();
        }
    }
    if let Some(escalation) = &ssh.escalation {
        escalate(&mut fields, escalation);
    }
    fields
}

fn escalate(fields: &mut Value, escalation: &Escalation) {
    let takes = |field| escalation.method.takes(field);
    if takes(EscalationField::Account) {
        fields["escalation_account"] = escalation.account.as_deref().unwrap_or(ROOT).into();
    }
    if takes(EscalationField::Password) {
        fields["escalation_password"] = escalation.password.as_ref().map_or("", Secret::expose).into();
    }
    if takes(EscalationField::SuUser) {
        fields["su_user"] = escalation.su_user.as_deref().into();
    }
    if takes(EscalationField::BinDirectory) {
        fields["bin_directory"] = escalation.bin_directory.as_deref().unwrap_or_default().into();
    }
}

/// `POST /file/upload`; returns the name under which the scanner keeps the file.
async fn upload(client: &Client, private_key: &Secret) -> Result<String, ScannerError> {
    // Some readers of keys want the last line to have an end.
    let end = if private_key.expose().ends_with('\n') { "" } else { "\n" };
    // No key holds its own boundary, and no name of ours meets another's.
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let body = format!(
        "--{unique}\r\nContent-Disposition: form-data; name=\"Filedata\"; filename=\"key-{unique}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n{}{end}\r\n--{unique}--\r\n",
        private_key.expose()
    );
    let call = Call::new(Method::POST, "/file/upload", Access::Session)
        .body(format!("multipart/form-data; boundary={unique}"), body.into_bytes())
        .secrets(vec![private_key.clone()]);
    let uploaded: Uploaded = client.fetch_repeated(&call).await?;
    uploaded
        .fileuploaded
        .filter(|name| !name.is_empty())
        .ok_or_else(|| decode_error(&call, "there is no `fileuploaded` in it"))
}

/// Deletes the credentials of a scan: `PUT /scans/{id}`, which wants the whole settings, what is left of them included.
///
/// # Errors
/// [`ScannerError::Decode`] when the scanner shows some afterwards; [`ScannerError::NotFound`] when the scan is gone.
pub(super) async fn forget(client: &Client, scan: u64) -> Result<(), ScannerError> {
    let read = Call::get(format!("/editor/scan/{scan}"), Access::Session);
    let without_id = || decode_error(&read, "there is a credential without an `id` in it");
    let editor: Editor = client.fetch_repeated(&read).await?;
    let stored = editor.credential_ids().ok_or_else(without_id)?;
    if stored.is_empty() {
        return Ok(());
    }
    let details: Details = client.fetch_repeated(&details_call(scan)).await?;
    let call = Call::new(Method::PUT, format!("/scans/{scan}"), Access::Control);
    let info = details.info.ok_or_else(|| decode_error(&call, "the scan has no `info` to configure it with"))?;
    let template = editor.uuid.or(info.policy_template_uuid);
    let (Some(template), Some(name), Some(targets)) = (template, info.name, info.targets) else {
        return Err(decode_error(&call, "the scan lacks its template, name or targets"));
    };
    let mut settings = json!({ "name": name, "text_targets": targets, "enabled": false });
    if let Some(folder) = info.folder_id {
        settings["folder_id"] = folder.into();
    }
    let body = json!({
        "uuid": template,
        "settings": settings,
        "credentials": { "add": {}, "edit": {}, "delete": stored },
    });
    client.act(&call.json(&body).expects(Expected::Consent)).await?;
    let editor: Editor = client.fetch_repeated(&read).await?;
    match editor.credential_ids().ok_or_else(without_id)?.len() {
        0 => Ok(()),
        left => Err(decode_error(&read, &format!("{} still there", counted(left, "credential is", "credentials are")))),
    }
}
