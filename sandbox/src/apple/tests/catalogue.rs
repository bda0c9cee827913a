use super::*;

const LOOKUP: &str = "/WebObjects/MZStorePlatform.woa/wa/lookup";

impl World {
    fn store_call(&self, path: &str, query: &str, cookie: Option<&str>) -> Call {
        Call {
            path: path.to_owned(),
            query: query.to_owned(),
            authorization: None,
            cookie: cookie.map(str::to_owned),
            ..self.get_call("assets")
        }
    }

    fn lookup(&self, ids: &str, cc: &str, with_token: bool) -> Got {
        let query = format!("version=2&id={ids}&p=mdm-lockup&caller=MDM&platform=enterprisestore&cc={cc}&l=en");
        let cookie = format!("itvt={}", self.token);
        self.outcome(&self.store_call(LOOKUP, &query, with_token.then_some(cookie.as_str())))
    }

    fn listing(&self, listing: Listing) {
        self.apple.set_listing(APP, listing).unwrap();
    }
}

fn found(got: &Got) -> Vec<String> {
    assert_eq!(got.status, 200, "{got:?}");
    got.json["results"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn lookup_tells_names_versions_and_artwork_in_two_shapes() {
    let world = World::new();
    world.apple.set_base_url("https://127.0.0.1:1/mdm/v2/");
    let address = world.get("service/config").json["urls"]["contentMetadataLookup"].clone();
    assert_eq!(address, json!(format!("https://127.0.0.1:1{LOOKUP}")));
    let new = NewVersion { version: "4.2.1".to_owned(), external_version_id: 871_234_567 };
    world.apple.publish_version(APP, new).unwrap();
    let got = world.lookup(APP, "nl", false).json;
    let entry = &got["results"][APP];
    assert_eq!((&entry["id"], &entry["name"]), (&json!(APP), &json!("App 1600000011")));
    assert_eq!(entry["bundleId"], json!("com.example.app1600000011"));
    assert_eq!(entry["offers"][0]["version"], json!({"display": "4.2.1", "externalId": 871_234_567}));
    let template = "https://127.0.0.1:1/artwork/1600000011/{w}x{h}bb.{f}";
    assert_eq!((&entry["artwork"]["url"], &got["version"]), (&json!(template), &json!(2)));
    world.switch(json!({"lookup-shape": "sizes"}));
    let got = world.lookup(APP, "nl", false).json;
    let entry = &got["results"][APP];
    assert_eq!((&entry["id"], &got["version"]), (&json!(1_600_000_011), &json!(1)));
    assert_eq!(entry["artwork"][0]["url"], json!("https://127.0.0.1:1/artwork/1600000011/60x60bb.png"));
    let book = world.lookup(BOOK, "nl", true).json["results"][BOOK].clone();
    assert_eq!((book.get("bundleId"), &book["kind"]), (None, &json!("iBook")));
}

#[test]
fn what_a_storefront_does_not_have_is_silently_absent() {
    let world = World::new();
    world.listing(Listing { storefronts: Some(vec!["NL".to_owned(), "BE".to_owned()]), ..Listing::default() });
    let both = format!("{APP},{SECOND_APP},999");
    assert_eq!(found(&world.lookup(&both, "nl", true)), [APP, SECOND_APP]);
    assert_eq!(found(&world.lookup(&both, "us", true)), [SECOND_APP]);
    assert_eq!(found(&world.lookup("999", "us", true)), Vec::<String>::new());
}

#[test]
fn custom_and_withdrawn_apps_need_the_cookie_of_an_owner() {
    let world = World::new();
    for listing in [Listing { custom: true, ..Listing::default() }, Listing { withdrawn: true, ..Listing::default() }] {
        world.listing(listing);
        assert_eq!(found(&world.lookup(APP, "nl", true)), [APP]);
        assert_eq!(found(&world.lookup(APP, "nl", false)), Vec::<String>::new());
        let query = format!("version=2&id={APP}&p=mdm-lockup&caller=MDM&platform=enterprisestore&cc=nl");
        let other = world.apple.add_location(NewLocation::default());
        let token = world.apple.add_token(&other, SignedDuration::from_hours(1)).unwrap();
        for cookie in ["itvt=nonsense".to_owned(), format!("itvt={token}"), world.token.clone()] {
            let got = world.outcome(&world.store_call(LOOKUP, &query, Some(&cookie)));
            assert_eq!(found(&got), Vec::<String>::new(), "{cookie}");
        }
    }
    world.apple.revoke_token(&world.token).unwrap();
    assert_eq!(found(&world.lookup(APP, "nl", true)), Vec::<String>::new());
}

#[test]
fn lookup_is_read_strictly_and_knows_the_mac_store() {
    let world = World::new();
    let ask = |query: &str| world.outcome(&world.store_call(LOOKUP, query, None));
    let usual = format!("version=2&id={APP}&caller=MDM&cc=nl");
    for query in [
        format!("{usual}&p=mdm-lookup&platform=enterprisestore"),
        format!("{usual}&p=mdm-lockup&platform=appstore"),
        format!("{usual}&p=mdm-lockup"),
        format!("version=2&id={APP}&caller=MDM&cc=NL&p=mdm-lockup&platform=enterprisestore"),
        "version=2&id=abc&caller=MDM&cc=nl&p=mdm-lockup&platform=enterprisestore".to_owned(),
        format!("{usual}&p=mdm-lockup&platform=enterprisestore&country=nl"),
    ] {
        assert_eq!(ask(&query).status, 400, "{query}");
    }
    assert_eq!(world.apple.counters().refused, 6);
    let mac = format!("{usual}&p=mdm-lockup&platform=macappstore");
    assert_eq!(found(&ask(&mac)), Vec::<String>::new());
    world.listing(Listing { device_families: vec!["mac".to_owned()], ..Listing::default() });
    assert_eq!(found(&ask(&mac)), [APP]);
    assert_eq!(ask(&mac).json["results"][APP]["kind"], json!("desktopApp"));
}

#[test]
fn public_lookup_tells_what_anybody_may_know() {
    let world = World::new();
    let ask = |query: &str| world.outcome(&world.store_call("/lookup", query, None));
    let got = ask(&format!("id={APP},{BOOK},999&country=nl&entity=software"));
    assert_eq!((got.status, &got.json["resultCount"]), (200, &json!(1)));
    assert_eq!(got.json["results"][0]["trackId"], json!(1_600_000_011));
    assert_eq!(ask(&format!("id={APP}&entity=desktopSoftware")).json["resultCount"], json!(0));
    assert_eq!(ask(&format!("id={BOOK}&entity=ebook")).json["resultCount"], json!(1));
    world.listing(Listing { custom: true, ..Listing::default() });
    assert_eq!(ask(&format!("id={APP}&country=nl")).json["resultCount"], json!(0));
    assert_eq!((ask("country=nl").status, ask("id=1&cc=nl").status), (400, 400));
}

#[test]
fn bursts_of_40300_and_other_faults_strike_the_metadata_alone() {
    let world = World::new();
    let burst = |endpoint: &str, fault, often| {
        world.apple.add_fault(FaultRule { endpoint: Some(endpoint.to_owned()), fault, often }).unwrap();
    };
    burst("metadata/lookup", Fault::MetadataForbidden, Often::Next(2));
    burst("metadata/lookup", Fault::Unavailable(RetryAfter::Seconds(7)), Often::Next(1));
    for _ in 0..2 {
        let got = world.lookup(APP, "nl", true);
        assert_eq!((got.status, &got.json["errors"][0]["code"]), (403, &json!("40300")));
        assert_eq!(world.get("assets").status, 200);
    }
    let got = world.lookup(APP, "nl", true);
    assert_eq!((got.status, got.retry_after.as_deref()), (503, Some("7")));
    assert_eq!(found(&world.lookup(APP, "nl", true)), [APP]);
    assert_eq!(world.apple.counters().calls.get("metadata/lookup"), Some(&4));
    burst("assets", Fault::MetadataForbidden, Often::Next(1));
    assert_eq!(world.get("assets").status, 200);
}

#[tokio::test]
async fn icons_are_pictures_of_the_size_asked_for() {
    let world = World::new();
    let path = |name: &str| world.store_call(&format!("/artwork/{name}"), "", None);
    let Outcome::Reply(reply) = world.apple.call(&path("1600000011/64x32bb.png")).await else { panic!("no reply") };
    assert_eq!((reply.status, &*reply.content_type), (200, "image/png"));
    let reader = png::Decoder::new(std::io::Cursor::new(reply.body.to_vec())).read_info().unwrap();
    assert_eq!((reader.info().width, reader.info().height), (64, 32));
    for name in ["1600000011/64x32bb.jpg", "1600000011/0x32bb.png", "1600000011/2000x32bb.png", "x/1x1bb.png", "1"] {
        assert_eq!(world.outcome(&path(name)).status, 404, "{name}");
    }
}

const KEY_ID: &str = "2X9R4HXF34";
const TEAM_ID: &str = "57246542CJ";

/// A developer's key and what it signs.
struct Signer(rcgen::KeyPair);

impl Signer {
    fn known_to(world: &World) -> Signer {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        world.apple.allow_developer(KEY_ID, TEAM_ID, key.public_key_raw().to_vec());
        Signer(key)
    }

    fn token(&self, header: Value, claims: Value) -> String {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
        use base64::Engine as _;
        use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, self.0.serialized_der()).unwrap();
        let signed = format!("{}.{}", URL_SAFE.encode(header.to_string()), URL_SAFE.encode(claims.to_string()));
        let signature = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("Bearer {signed}.{}", URL_SAFE.encode(signature))
    }
}

impl World {
    fn catalog(&self, token: &str, list: &str, query: &str, with_token: bool) -> Got {
        let cookie = format!("itvt={}", self.token);
        let path = format!("/v1/catalog/nl/{list}");
        let call = self.store_call(&path, query, with_token.then_some(cookie.as_str()));
        self.outcome(&Call { authorization: Some(token.to_owned()), ..call })
    }
}

#[test]
fn the_service_for_organisations_wants_a_developers_token_and_tells_what_is_owned() {
    let world = World::new();
    let signer = Signer::known_to(&world);
    let now = world.time.clock().now().as_second();
    let (header, claims) =
        (json!({"alg": "ES256", "kid": KEY_ID}), json!({"iss": TEAM_ID, "iat": now, "exp": now + 600}));
    let good = signer.token(header.clone(), claims.clone());
    let apps = "stoken-authenticated-apps";
    let query =
        format!("ids={APP},{BOOK},999&platform=iphone&additionalPlatforms=ipad,mac&extend[apps]=latestVersionInfo");
    world.listing(Listing { custom: true, ..Listing::default() });
    let got = world.catalog(&good, apps, &query, true);
    let data = got.json["data"].as_array().unwrap();
    assert_eq!((got.status, data.len(), &data[0]["id"]), (200, 1, &json!(APP)));
    let ios = &data[0]["attributes"]["platformAttributes"]["ios"];
    assert_eq!(
        (&ios["bundleId"], &ios["latestVersionInfo"]["versionDisplay"]),
        (&json!("com.example.app1600000011"), &json!("1.0"))
    );
    let books = world.catalog(&good, "stoken-authenticated-books", &query, true).json;
    assert_eq!((books["data"].as_array().unwrap().len(), &books["data"][0]["type"]), (1, &json!("books")));

    let unknown = world.catalog(&good, apps, "ids=999&platform=iphone", true);
    assert_eq!((unknown.status, unknown.json), (200, json!({"data": []})));
    for (query, with_token) in [(query.as_str(), false), ("ids=&platform=iphone", true), ("platform=iphone", true)] {
        let got = world.catalog(&good, apps, query, with_token);
        assert_eq!((got.status, &got.json["errors"][0]["code"]), (403, &json!("40300")), "{query}");
    }
    for query in ["ids=1", "ids=1&platform=ipod", "ids=1&platform=iphone&country=nl"] {
        assert_eq!(world.catalog(&good, apps, query, true).status, 400, "{query}");
    }
    let stranger = Signer(rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap());
    let changed = |of: &Value, name: &str, value: Value| {
        let mut of = of.clone();
        of[name] = value;
        of
    };
    for bad in [
        stranger.token(header.clone(), claims.clone()),
        signer.token(changed(&header, "kid", json!("other")), claims.clone()),
        signer.token(changed(&header, "alg", json!("none")), claims.clone()),
        signer.token(header.clone(), changed(&claims, "iss", json!("other"))),
        signer.token(header.clone(), changed(&claims, "exp", json!(now))),
        signer.token(header.clone(), changed(&claims, "iat", json!(now + 60))),
        signer.token(header, changed(&claims, "exp", json!(now + 15_777_001))),
        "Bearer x".to_owned(),
    ] {
        assert_eq!(world.catalog(&bad, apps, &query, true).status, 401, "{bad}");
    }
}
