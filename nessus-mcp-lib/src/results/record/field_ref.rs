//! Fields that somebody asks for by name.

use super::{
    fields::{ALL, FieldId, Origin},
    kind::RecordKind,
};

/// A declared field, or the name of an element or attribute that only the export can vouch for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum FieldRef {
    /// In the table.
    Declared(FieldId),
    /// Exactly as the export writes it. Whether it occurs is known after the whole file was read once.
    Other(Box<str>),
}

impl FieldRef {
    /// Finds the field of this name.
    pub(crate) fn named(text: &str) -> Self {
        FieldId::named(text).map_or_else(|| Self::Other(text.into()), Self::Declared)
    }

    /// The name that only the export can vouch for, when it is one.
    pub(crate) fn undeclared(&self) -> Option<&str> {
        match self {
            Self::Declared(_) => None,
            Self::Other(name) => Some(name),
        }
    }

    /// Of which kind the items are that have it; `None` for both, and when only the export can tell.
    pub(crate) fn kind(&self) -> Option<RecordKind> {
        match self {
            Self::Declared(id) => id.kind(),
            Self::Other(_) => None,
        }
    }

    /// Whether its texts may be what a scanned machine has answered, in items of this kind: of a field that is not
    /// declared, nobody knows.
    pub(crate) fn is_untrusted(&self, kind: RecordKind) -> bool {
        match self {
            Self::Declared(id) => id.is_untrusted(|| kind),
            Self::Other(_) => true,
        }
    }

    /// Whether nothing can be said of it without the host.
    pub(crate) fn needs_host(&self) -> bool {
        self.is_of_host() || *self == Self::Declared(FieldId::FindingKey)
    }

    /// Whether it is a property of the host, so that all items of a host have the same.
    pub(crate) fn is_of_host(&self) -> bool {
        matches!(self, Self::Declared(id) if matches!(id.field().origin, Origin::Host | Origin::HostList))
    }

    /// The name in JSON.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Declared(id) => id.name(),
            Self::Other(name) => name,
        }
    }
}

/// All declared names and these others, the ones most like `text` first.
pub(crate) fn nearest<'a>(text: &str, others: impl Iterator<Item = &'a str>) -> Vec<String> {
    let names = ALL.iter().map(|id| id.name()).chain(others);
    crate::error::nearest(text.strip_prefix("cm:").unwrap_or(text), names).into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_comes_first() {
        assert_eq!(nearest("plugin_nmae", std::iter::empty())[0], "plugin_name");
        assert_eq!(nearest("sevrity", std::iter::empty())[0], "severity");
        assert_eq!(nearest("new_elemnt", ["new_element"].into_iter())[0], "new_element");
    }
}
