//! The parser and the reference on exports of every shape.

use proptest::prelude::*;

use crate::{
    arbitrary::{ENCODINGS, Texts, encode, export},
    compare::compare,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exports_of_every_shape_are_read_as_by_the_reference(
        export in export(Texts::Any),
        encoding in 0..ENCODINGS,
    ) {
        let agreed = compare(&encode(&export, encoding)).map_err(TestCaseError::fail)?;
        prop_assert_eq!(agreed.refused, None, "the generator makes exports that can be read");
    }

    #[test]
    fn what_is_cut_short_is_refused_as_by_the_reference(
        export in export(Texts::Any),
        at in any::<prop::sample::Index>(),
    ) {
        let end = export.rfind("</NessusClientData_v2>").unwrap() + "</NessusClientData_v2>".len();
        let mut at = at.index(end);
        while !export.is_char_boundary(at) {
            at -= 1;
        }
        let agreed = compare(&export.as_bytes()[..at]).map_err(TestCaseError::fail)?;
        prop_assert!(agreed.refused.is_some());
    }
}
