//! Pages, cursors, and budgets of characters.

use std::io::Cursor;

use super::*;

#[test]
fn pages_put_together_are_everything() {
    for sort in ["worst_first", "file", "host", "-plugin_name", "port:desc", "cve", "exploit_available", "epss_score"] {
        let query = || Query::builder().profile(Profile::Full).sort(sort.parse().unwrap());
        let everything = convert(OFFICE, query()).unwrap();
        assert_eq!(everything[0]["total_pages"], 1);
        let mut pages = Vec::new();
        let mut next = Some(1);
        while let Some(number) = next {
            let lines = convert(OFFICE, query().page(Page::new(number, Some(10)).unwrap())).unwrap();
            pages.extend(findings(&lines).into_iter().cloned());
            let pagination = lines.last().unwrap();
            assert_eq!((&pagination["page"], &pagination["total_pages"]), (&json!(number), &json!(3)));
            next = pagination["next_page"].as_i64();
        }
        assert_eq!(pages.iter().collect::<Vec<_>>(), findings(&everything), "{sort}");
    }
}

#[test]
fn a_page_past_the_end_is_empty_and_says_so() {
    let lines = convert(OFFICE, Query::builder().page(Page::new(9, Some(7)).unwrap())).unwrap();
    assert!(findings(&lines).is_empty());
    let expected = json!({"type": "pagination", "page": 9, "page_size": 10, "page_size_requested": 7,
        "total_pages": 3, "has_next": false, "next_page": null,
        "beyond_end": "there is no page 9: all that match fill 3 pages of 10"});
    assert_eq!(lines.last(), Some(&expected));
    let nothing = || Query::builder().filters(filters(&json!({"port": 1})));
    for (query, said) in [
        (nothing().page(Page::new(1, None).unwrap()), None),
        (nothing().page(Page::new(2, None).unwrap()), Some("there is no page 2: all that match fill 0 pages of 40")),
        (
            Query::builder().group_by(GroupBy::Severity, GroupSort::WORST).page(Page::new(2, None).unwrap()),
            Some("there is no page 2: all that match fill 1 page of 40"),
        ),
    ] {
        let lines = convert(OFFICE, query).unwrap();
        assert_eq!(lines.last().unwrap().get("beyond_end").and_then(Json::as_str), said);
    }
}

/// Follows `next_cursor` from the first page to the end.
fn walk(input: &[u8], query: impl Fn() -> QueryBuilder, size: i64) -> Vec<Json> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = query().page(Page::new(1, Some(size)).unwrap());
        let page = match &cursor {
            Some(cursor) => page.cursor(cursor),
            None => page,
        };
        let lines = convert(input, page).unwrap();
        found.extend(findings(&lines).into_iter().cloned());
        let pagination = lines.last().unwrap();
        assert_eq!(pagination["has_next"], json!(pagination.get("next_cursor").is_some()));
        match pagination["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return found,
        }
    }
}

#[test]
fn a_walk_by_cursor_is_everything() {
    for sort in ["worst_first", "file", "host", "-plugin_name", "-epss_score"] {
        for budget in [0, 4_000, 12_000] {
            let query = || {
                let filters = filters(&json!({"severity": "<Critical"}));
                Query::builder().profile(Profile::Triage).sort(sort.parse().unwrap()).filters(filters)
            };
            let everything = convert(OFFICE, query()).unwrap();
            let walked = walk(OFFICE, || query().max_chars(budget), 10);
            assert_eq!(walked.iter().collect::<Vec<_>>(), findings(&everything), "{sort} {budget}");
        }
    }
}

#[test]
fn a_page_ends_before_its_budget_and_says_where_to_go_on() {
    let page = || Query::builder().page(Page::new(1, Some(10)).unwrap());
    let lines = |query: QueryBuilder| {
        let mut output = Vec::new();
        let summary = JsonNlConverter::new(query.build().unwrap()).convert(Cursor::new(OFFICE), &mut output).unwrap();
        (String::from_utf8(output).unwrap(), summary)
    };
    let (whole, _) = lines(page());
    let (text, summary) = lines(page().max_chars(5_000));
    assert!(text.chars().count() <= 5_000 && summary.truncated && (1..10).contains(&summary.written), "{summary:?}");
    let last: Json = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&last["truncated"], &last["has_next"]), (&json!(true), &json!(true)));
    assert_eq!(
        (last.get("next_page"), last.get("total_pages")),
        (None, None),
        "pages by number leave findings out now"
    );
    assert_eq!(last["next_cursor"].as_str(), summary.next_cursor.as_deref());
    assert_eq!(lines(page().max_chars(1_000_000)).0, whole);
    let (rest, _) = lines(page().cursor(summary.next_cursor.unwrap()).profile(Profile::Minimal));
    let first: Json = serde_json::from_str(rest.lines().nth(2).unwrap()).unwrap();
    let number = usize::try_from(summary.written).unwrap();
    let expected: Json = serde_json::from_str(whole.lines().nth(2 + number).unwrap()).unwrap();
    assert_eq!((&first["host"], &first["plugin_id"]), (&expected["host"], &expected["plugin_id"]));
    let (everything, summary) = lines(Query::builder().sort(SortOrder::File).max_chars(5_000));
    assert!(summary.truncated && everything.contains(r#""truncated":true"#) && !everything.contains(r#""page":"#));
}

#[test]
fn a_budget_without_room_for_a_finding_is_refused_with_one_that_suffices() {
    for characters in [1, 1_000, 1_500] {
        let page = |budget| Query::builder().page(Page::new(2, Some(10)).unwrap()).max_chars(budget);
        let error = convert(OFFICE, page(characters)).unwrap_err();
        let ResultsError::BudgetTooSmall { asked, least, .. } = error else { panic!("{error}") };
        assert!(asked == characters && least < 3_000, "{error}");
        assert_eq!(error.code(), "max_chars_too_small");
        assert!(error.hint().unwrap().contains(&least.to_string()), "{error}");
        assert!(!findings(&convert(OFFICE, page(least)).unwrap()).is_empty());
        assert_eq!(convert(OFFICE, page(least - 1)).unwrap_err().code(), "max_chars_too_small");
    }
}

#[test]
fn the_worst_finding_fits_the_smallest_budget() {
    let worst = "&quot;".repeat(3_000);
    let elements =
        ["cve", "cvss_base_score", "exploit_available"].map(|name| format!("<{name}>{worst}</{name}>")).concat();
    let others = (0..300).map(|number| format!("<e{number}{}>{worst}</e{number}{0}>", "n".repeat(500)));
    let others = others.collect::<Vec<_>>().concat();
    let input = format!(
        "<NessusClientData_v2><Report name='{worst}'><ReportHost name='{worst}'>\
         <ReportItem severity='{worst}' pluginID='{worst}' port='{worst}'>{elements}<cve>x</cve>{others}</ReportItem>\
         </ReportHost></Report></NessusClientData_v2>"
    );
    for profile in Profile::ALL {
        let text = |budget| {
            let query = Query::builder().profile(profile).page(Page::new(1, None).unwrap()).max_chars(budget);
            let mut output = Vec::new();
            let written = JsonNlConverter::new(query.build().unwrap()).convert(Cursor::new(&input), &mut output);
            written.map(|_| String::from_utf8(output).unwrap())
        };
        let Err(ResultsError::BudgetTooSmall { least, .. }) = text(1) else { panic!("{profile}") };
        let shortest = text(least).unwrap();
        assert!(shortest.chars().count() as u64 <= least && shortest.contains("vulnerability"), "{least}: {shortest}");
        let usual = text(Query::DEFAULT_MAX_CHARS).unwrap();
        assert!(usual.chars().count() as u64 <= Query::DEFAULT_MAX_CHARS, "{profile}: {}", usual.len());
        let schema: Json = serde_json::from_str(usual.lines().next().unwrap()).unwrap();
        // Names of that length are in no scanner's exports.
        assert_eq!(schema.get("fields_left_out").is_some(), profile == Profile::Full, "{schema}");
    }
}

#[test]
fn a_cursor_of_other_results_is_refused() {
    let lines = convert(OFFICE, Query::builder().page(Page::new(1, Some(10)).unwrap())).unwrap();
    let cursor = lines.last().unwrap()["next_cursor"].as_str().unwrap().to_owned();
    let other = String::from_utf8(OFFICE.to_vec()).unwrap().replace("Office network", "Other network");
    let query = || Query::builder().cursor(cursor.clone()).page(Page::new(1, None).unwrap());
    assert_eq!(convert(other.as_bytes(), query()).unwrap_err().code(), "invalid_cursor");
    assert_eq!(convert(OFFICE, query().sort(SortOrder::File)).unwrap_err().code(), "invalid_cursor");
    assert_eq!(convert(OFFICE, query().page(Page::new(2, None).unwrap())).unwrap_err().code(), "conflicting_options");
    assert_eq!(findings(&convert(OFFICE, query()).unwrap()).len(), 12);
}

#[test]
fn a_finding_that_is_longer_than_the_budget_is_cut_and_says_so() {
    let xrefs = (0..3_000).map(|number| format!("<xref>A:{number}</xref>")).collect::<Vec<_>>().concat();
    let input = export(&format!(
        "<ReportItem severity='2' pluginID='7' port='80'><plugin_output>{}</plugin_output>{xrefs}<new>{}</new></ReportItem>",
        "é".repeat(200_000),
        "y".repeat(90_000),
    ));
    let query = Query::builder().profile(Profile::Full).page(Page::new(1, None).unwrap());
    let lines = convert(&input, query).unwrap();
    let finding = findings(&lines)[0];
    assert_eq!(
        finding["truncated_fields"],
        json!({"plugin_output": {"characters": 200_000}, "xref": {"entries": 3_000}, "new": {"characters": 90_000}})
    );
    assert!(finding["plugin_output"].as_str().unwrap().chars().count() > 5_000);
    assert!((20_000..40_000).contains(&lines.iter().map(|line| line.to_string().chars().count()).sum::<usize>()));
    assert_eq!((&finding["plugin_id"], lines.last().unwrap().get("truncated")), (&json!(7), None));
    let many = (0..10_000).map(|number| format!("<e{number}>v</e{number}>")).collect::<Vec<_>>().concat();
    let input = export(&format!("<ReportItem severity='2' pluginID='7' port='80'>{many}</ReportItem>"));
    let lines = convert(&input, Query::builder().profile(Profile::Full).page(Page::new(1, None).unwrap())).unwrap();
    assert_eq!(
        (&findings(&lines)[0]["truncated_record"], &findings(&lines)[0]["plugin_id"]),
        (&json!(true), &json!(7))
    );
}
