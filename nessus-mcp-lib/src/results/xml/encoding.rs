//! Encodings: everything that reads XML here reads UTF-8, and other encodings are copied into it first.
//!
//! The copy is a temporary file, because a sorted page seeks to byte ranges, and those must mean the same bytes each
//! time. Scanners write UTF-8; other encodings come from programs that have handled an export since.

use std::{
    fs::File,
    io::{BufWriter, Read, Seek, SeekFrom, Write},
};

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::error::excerpt;
use crate::results::error::{Location, ResultsError};

/// Enough of a file to find its byte order mark and XML declaration in.
const HEAD_BYTES: usize = 1024;
const CHUNK_BYTES: usize = 64 << 10;

/// The encoding of a file and the length of its byte order mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Charset {
    encoding: &'static Encoding,
    mark: usize,
}

/// An export in UTF-8, and the number of bytes before its first character.
#[derive(Debug)]
pub(crate) enum Utf8<R> {
    /// The input itself.
    Direct(R, u64),
    /// A temporary copy.
    Copy(File),
}

/// Looks at the start of `input` and makes a copy if it is not UTF-8.
///
/// `is_lenient` lets text that is broken in its encoding through to the XML reader, up to the break.
pub(crate) fn open<R: Read + Seek>(mut input: R, is_lenient: bool) -> Result<Utf8<R>, ResultsError> {
    input.rewind().map_err(ResultsError::Read)?;
    let head = read_head(&mut input)?;
    let charset = detect(&head)?;
    let start = SeekFrom::Start(charset.mark as u64);
    input.seek(start).map_err(ResultsError::Read)?;
    if charset.encoding == UTF_8 {
        return Ok(Utf8::Direct(input, charset.mark as u64));
    }
    transcode(input, charset.encoding, is_lenient).map(Utf8::Copy)
}

/// The length of the byte order mark, when `input` is UTF-8.
pub(crate) fn mark_of_utf8<R: Read + Seek>(input: &mut R) -> Result<Option<u64>, ResultsError> {
    input.rewind().map_err(ResultsError::Read)?;
    let charset = detect(&read_head(input)?)?;
    Ok((charset.encoding == UTF_8).then_some(charset.mark as u64))
}

/// Copies an input that can be read only once into a temporary file, in UTF-8 and without a byte order mark.
pub(crate) fn spool<R: Read>(mut input: R, is_lenient: bool) -> Result<File, ResultsError> {
    let head = read_head(&mut input)?;
    let charset = detect(&head)?;
    transcode(head[charset.mark..].chain(input), charset.encoding, is_lenient)
}

/// Calls `read` with the input as UTF-8, without a copy where none is needed, and the length of its byte order mark.
pub(crate) fn with_utf8<R: Read, T>(
    mut input: R,
    read: impl FnOnce(Box<dyn Read + '_>, u64) -> Result<T, ResultsError>,
) -> Result<T, ResultsError> {
    let head = read_head(&mut input)?;
    let charset = detect(&head)?;
    let rest = head[charset.mark..].chain(input);
    if charset.encoding == UTF_8 {
        return read(Box::new(rest), charset.mark as u64);
    }
    read(Box::new(transcode(rest, charset.encoding, false)?), 0)
}

fn read_head(input: &mut impl Read) -> Result<Vec<u8>, ResultsError> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    input.take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(ResultsError::Read)?;
    Ok(head)
}

/// Decides by byte order mark, then by the pattern of the first bytes, then by the XML declaration.
fn detect(head: &[u8]) -> Result<Charset, ResultsError> {
    if head.starts_with(&[0xFF, 0xFE, 0, 0]) || head.starts_with(&[0, 0, 0xFE, 0xFF]) {
        return Err(ResultsError::UnsupportedEncoding("UTF-32".to_owned()));
    }
    if let Some((encoding, mark)) = Encoding::for_bom(head) {
        return Ok(Charset { encoding, mark });
    }
    let encoding = match head {
        [b'<', 0, _, 0, ..] => UTF_16LE,
        [0, b'<', 0, _, ..] => UTF_16BE,
        _ => match declared(head) {
            None => UTF_8,
            Some(label) => match Encoding::for_label(label) {
                // A declaration that can be read as bytes is not in UTF-16, whatever it says.
                Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => UTF_8,
                Some(encoding) if encoding.is_ascii_compatible() => encoding,
                _ => {
                    let label = String::from_utf8_lossy(label);
                    return Err(ResultsError::UnsupportedEncoding(excerpt(&label).to_string()));
                }
            },
        },
    };
    Ok(Charset { encoding, mark: 0 })
}

/// The label in `<?xml ... encoding="LABEL"?>`.
fn declared(head: &[u8]) -> Option<&[u8]> {
    let declaration = head.trim_ascii_start().strip_prefix(b"<?xml")?;
    let end = declaration.windows(2).position(|window| window == b"?>")?;
    let declaration = &declaration[..end];
    let at = declaration.windows(8).position(|window| window == b"encoding")? + 8;
    let value = declaration[at..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, value) = value.split_first()?;
    let end = value.iter().position(|byte| byte == quote)?;
    Some(&value[..end])
}

/// Copies `input`, which begins after its byte order mark, into a temporary file in UTF-8.
fn transcode<R: Read>(mut input: R, encoding: &'static Encoding, is_lenient: bool) -> Result<File, ResultsError> {
    let file = tempfile::tempfile().map_err(ResultsError::Spool)?;
    let mut output = BufWriter::new(file);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut decoder = (encoding != UTF_8).then(|| encoding.new_decoder_without_bom_handling());
    let mut utf8 = String::with_capacity(CHUNK_BYTES * 3 + 16);
    let mut total = 0;
    loop {
        let count = match input.read(&mut chunk) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ResultsError::Read(error)),
        };
        match &mut decoder {
            // UTF-8 is checked by the XML reader, which can say where it is broken.
            None => output.write_all(&chunk[..count]).map_err(ResultsError::Spool)?,
            Some(decoder) => {
                utf8.clear();
                let last = count == 0;
                let (result, used) = decoder.decode_to_string_without_replacement(&chunk[..count], &mut utf8, last);
                if let DecoderResult::Malformed(..) = result {
                    if is_lenient {
                        output.write_all(utf8.as_bytes()).map_err(ResultsError::Spool)?;
                        // No UTF-8 text has this byte, so the XML reader stops here and says at which host.
                        output.write_all(&[0xFF]).map_err(ResultsError::Spool)?;
                        break;
                    }
                    let reason = format!("text is not valid {}", encoding.name());
                    return Err(ResultsError::Malformed { at: Location::at(total + used as u64), reason });
                }
                output.write_all(utf8.as_bytes()).map_err(ResultsError::Spool)?;
            }
        }
        total += count as u64;
        if count == 0 {
            break;
        }
    }
    let mut file = output.into_inner().map_err(|error| ResultsError::Spool(error.into_error()))?;
    file.rewind().map_err(ResultsError::Spool)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn read(input: &[u8]) -> Result<String, ResultsError> {
        let mut text = String::new();
        match open(Cursor::new(input), false)? {
            Utf8::Direct(mut input, _) => input.read_to_string(&mut text).unwrap(),
            Utf8::Copy(mut file) => file.read_to_string(&mut text).unwrap(),
        };
        Ok(text)
    }

    #[test]
    fn each_encoding_is_read() {
        let wide = |text: &str, little: bool| -> Vec<u8> {
            text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
        };
        for (input, expected) in [
            ("<a>é</a>".as_bytes().to_vec(), "<a>é</a>"),
            ("\u{FEFF}<a>é</a>".as_bytes().to_vec(), "<a>é</a>"),
            (wide("\u{FEFF}<a>é😀</a>", true), "<a>é😀</a>"),
            (wide("\u{FEFF}<a>é😀</a>", false), "<a>é😀</a>"),
            (wide("<a>é</a>", true), "<a>é</a>"),
            (wide("<a>é</a>", false), "<a>é</a>"),
            (
                b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>".to_vec(),
                "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>",
            ),
            (
                b"<?xml version=\"1.0\" encoding = \"windows-1252\" ?><a>\x80</a>".to_vec(),
                "<?xml version=\"1.0\" encoding = \"windows-1252\" ?><a>€</a>",
            ),
            (b"<?xml version='1.0' encoding='UTF-16'?><a/>".to_vec(), "<?xml version='1.0' encoding='UTF-16'?><a/>"),
            (Vec::new(), ""),
        ] {
            assert_eq!(read(&input).unwrap(), expected, "{input:?}");
            let mut spooled = String::new();
            spool(&*input, false).unwrap().read_to_string(&mut spooled).unwrap();
            assert_eq!(spooled, expected, "{input:?}");
        }
    }

    #[test]
    fn others_are_refused_by_name() {
        for input in [&b"<?xml version='1.0' encoding='EBCDIC-X'?><a/>"[..], b"\xff\xfe\0\0<\0\0\0"] {
            assert!(matches!(read(input), Err(ResultsError::UnsupportedEncoding(_))), "{input:?}");
        }
    }

    #[test]
    fn half_a_character_at_the_end_is_an_error() {
        let mut input: Vec<u8> = "\u{FEFF}<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        input.push(b'x');
        assert!(matches!(read(&input), Err(ResultsError::Malformed { .. })));
    }

    #[test]
    fn characters_across_chunks_survive() {
        let text = format!("<?xml version='1.0'?><a>{}</a>", "é😀x".repeat(60_000));
        let wide: Vec<u8> = format!("\u{FEFF}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&wide).unwrap(), text);
    }
}
