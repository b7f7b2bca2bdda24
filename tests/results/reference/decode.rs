//! Bytes as text.

/// The characters that windows-1252 has where ISO-8859-1 has controls; a dot is one that has none.
const WINDOWS: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";

/// Reads UTF-8, UTF-16, and one byte a character where the XML declaration says so.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, &'static str> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        if bytes.len() % 2 == 1 {
            Err("malformed_export")
        } else {
            String::from_utf16(&units).map_err(|_| "malformed_export")
        }
    };
    match bytes {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => return Err("unsupported_encoding"),
        [0xFF, 0xFE, rest @ ..] => return wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => return wide(rest, u16::from_be_bytes),
        [b'<', 0, _, 0, ..] => return wide(bytes, u16::from_le_bytes),
        [0, b'<', 0, _, ..] => return wide(bytes, u16::from_be_bytes),
        _ => {}
    }
    let (bytes, has_mark) = bytes.strip_prefix(b"\xEF\xBB\xBF").map_or((bytes, false), |rest| (rest, true));
    match declared(bytes).map(|label| label.to_ascii_lowercase()).as_deref() {
        Some("iso-8859-1" | "latin1" | "windows-1252") if !has_mark => {
            let windows: Vec<char> = WINDOWS.chars().collect();
            let character =
                |byte: &u8| windows.get(usize::from(*byte).wrapping_sub(0x80)).copied().unwrap_or(char::from(*byte));
            Ok(bytes.iter().map(character).collect())
        }
        None | Some("utf-8" | "utf-16") => String::from_utf8(bytes.to_vec()).map_err(|_| "malformed_export"),
        Some(_) if has_mark => String::from_utf8(bytes.to_vec()).map_err(|_| "malformed_export"),
        Some(_) => Err("unsupported_encoding"),
    }
}

fn declared(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    let declaration = head.trim_start().strip_prefix("<?xml")?.split("?>").next()?.to_owned();
    let value = declaration.split("encoding").nth(1)?.trim_start().strip_prefix('=')?.trim_start().to_owned();
    let quote = value.chars().next()?;
    value[1..].split(quote).next().map(str::to_owned)
}
