use super::*;

const TOML: &str = r#"
[[person]]
uid = "4711"
name = "Priya Osei"
email = "p.osei@example.org"
managed-account = "p.osei@mdm.example.org"
groups = ["Teachers", "Year 5"]
devices = ["dmpx0001"]

[[person]]
uid = "4712"
email = "l.haas@example.org"
groups = ["teachers"]
"#;

const CSV: &str = "\
uid,Name,email,Managed Account,groups,devices
4711,Priya Osei,p.osei@example.org,p.osei@mdm.example.org,Teachers; Year 5,DMPX0001
4712,,l.haas@example.org,,teachers,
";

fn without_places(listing: Listing) -> Listing {
    let people = listing.people.into_iter().map(|person| Listed { place: String::new(), ..person });
    Listing { people: people.collect(), ..listing }
}

#[test]
fn both_forms_say_the_same() {
    let from_toml = decode(Format::Toml, TOML).unwrap();
    assert_eq!(from_toml.people[0].place, "line 2, column 1");
    assert_eq!(from_toml.people[0].groups, ["teachers", "year 5"]);
    assert_eq!(from_toml.people[0].devices[0].as_str(), "DMPX0001");
    assert_eq!(from_toml.people[1].managed_account, None);
    assert_eq!(from_toml.groups["teachers"], "Teachers", "as it was written first");
    let from_csv = decode(Format::Csv, CSV).unwrap();
    assert_eq!(from_csv.people[1].place, "line 3");
    assert_eq!(without_places(from_csv.clone()), without_places(from_toml));
    // As a spreadsheet writes it where commas are decimal points.
    let semicolons = format!("\u{feff}{}", CSV.replace(';', "|").replace(',', ";"));
    assert_eq!(decode(Format::Csv, &semicolons).unwrap(), from_csv);
}

#[test]
fn a_hash_stands_in_both_forms_and_an_empty_field_is_none() {
    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmU$XkRhyzPhGOpu0s5qtHPdOHqJQBrNZTzhXTwCs8rXz0A";
    let toml = format!("[[person]]\nuid = \"1\"\nemail = \"a@b.example\"\npassword = \"{HASH}\"\n");
    let csv = format!("uid,email,password\n1,a@b.example,\"{HASH}\"\n2,c@d.example,\n");
    assert_eq!(decode(Format::Toml, &toml).unwrap().people[0].password.as_deref(), Some(HASH));
    let people = decode(Format::Csv, &csv).unwrap().people;
    assert_eq!((people[0].password.as_deref(), people[1].password.as_deref()), (Some(HASH), None));
    let semicolons =
        csv.replace("uid,email,password", "uid;email;password").replace("1,a@b.example,", "1;a@b.example;");
    let semicolons = semicolons.replace("2,c@d.example,", "2;c@d.example;");
    assert_eq!(decode(Format::Csv, &semicolons).unwrap().people, people);
}

#[test]
fn an_empty_list_is_a_list_but_an_empty_csv_file_is_none() {
    assert!(decode(Format::Toml, "").unwrap().people.is_empty());
    assert!(decode(Format::Csv, "uid,email\n\n").unwrap().people.is_empty());
    let problems = decode(Format::Csv, "").unwrap_err();
    assert!(problems[0].contains("line 1: the first line names the columns"), "{problems:?}");
}

#[test]
fn what_is_wrong_is_told_with_line_and_column() {
    let entry = |lines: &str| format!("[[person]]\nuid = \"1\"\nemail = \"a@b.example\"\n{lines}\n");
    let twice = |second: &str| format!("{}[[person]]\n{second}", entry("devices = [\"D1\"]"));
    for (text, words) in [
        ("[[person]\n".to_owned(), "line 1, column "),
        ("[[people]]\nuid = \"1\"\n".to_owned(), "line 1, column 3: unknown field `people`"),
        ("[[person]]\nemail = \"a@b.example\"\n".to_owned(), "line 1, column 1: missing field `uid`"),
        (entry("mail = \"x\""), "line 4, column 1: unknown field `mail`"),
        (entry("name = 5"), "line 4, column 8: invalid type: integer"),
        (entry("devices = [\"D1\", \"not a serial\"]"), "line 4, column 18: \"not a serial\" is no serial number"),
        (entry("groups = [\"\"]"), "line 4, column 11: \"\" cannot be the name of a group"),
        (entry("managed-account = \"nobody\""), "line 4, column 19: \"nobody\" is no Managed Apple Account"),
        (entry("password = \"secret\""), "line 4, column 12: password is no argon2id hash"),
        ("[[person]]\nuid = \" \"\nemail = \"nobody\"\n".to_owned(), "line 2, column 7: uid has"),
        (
            "[[person]]\nuid = \" \"\nemail = \"nobody\"\n".to_owned(),
            "line 3, column 9: \"nobody\" is no e-mail address",
        ),
        (
            twice("uid = \"1\"\nemail = \"c@d.example\"\n"),
            "line 5, column 1: the uid 1 stands in line 1, column 1 already",
        ),
        (twice("uid = \"2\"\nemail = \"A@B.example\"\n"), "the email a@b.example stands in line 1"),
        (twice("uid = \"2\"\nemail = \"c@d.example\"\ndevices = [\"d1\"]\n"), "the device D1 stands in line 1"),
    ] {
        let problems = decode(Format::Toml, &text).unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(words)), "{text}: {problems:?}");
    }
    for (text, words) in [
        ("uid,name\n1,x\n", "line 1: the column email is missing"),
        ("uid,email,mail\n", "line 1, column 3: \"mail\" is no column"),
        ("uid,email,uid\n", "line 1, column 3: the column uid is there twice"),
        ("uid,email\n1,nobody\n", "line 2, column 2 (email): \"nobody\" is no e-mail address"),
        ("name,email,uid\nx,a@b.example\n", "line 2, column 3 (uid): uid has"),
        ("uid,email,password\n1,a@b.example,secret\n", "line 2, column 3 (password): password is no argon2id hash"),
        ("uid,email,devices\n1,a@b.example,D1|?\n", "line 2, column 3 (devices): \"?\" is no serial number"),
    ] {
        let problems = decode(Format::Csv, text).unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(words)), "{text}: {problems:?}");
    }
}

#[test]
fn of_many_problems_the_first_are_told() {
    let lines: String = (0..100).map(|number| format!("{number},nobody\n")).collect();
    let problems = decode(Format::Csv, &format!("uid,email\n{lines}")).unwrap_err();
    assert_eq!((problems.len(), problems[20].as_str()), (21, "and 80 more"));
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_listing_or_problems(
        text in "(uid|email|name|groups|devices|password|1|a@b|[,;|\"\n =\\[\\]#.]|\\[\\[person\\]\\]|\\PC){0,40}"
    ) {
        for format in [Format::Toml, Format::Csv] {
            if let Err(problems) = decode(format, &text) {
                proptest::prop_assert!(!problems.is_empty());
            }
        }
    }
}
