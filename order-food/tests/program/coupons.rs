//! Which coupons an order may hold, and what it leaves of them in the database.

use test_postgres::Database;

use crate::support::{Answer, Api, COUPONS, coupon, database};

async fn with_coupons() -> Database<'static> {
    let database = database().await;
    database.execute(COUPONS).await;
    database
}

async fn assert_nothing_ordered(database: &Database<'_>) {
    assert_eq!(database.value("SELECT count(*) FROM orders").await, "0");
}

/// Nobody knows whether the coupon is valid.
fn assert_not_checked(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("3600"), "{answer:?}");
    assert_eq!(
        answer.message(),
        "coupons cannot be checked, since none have been loaded yet; nothing was ordered"
    );
}

#[tokio::test]
async fn an_order_with_a_valid_coupon_is_placed_and_keeps_it() {
    let database = with_coupons().await;
    let api = Api::on(&database).await;
    let answer = api.order(coupon(r#""HAPPYHRS""#)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let order = answer.json();
    assert!(answer.body.contains(r#""total":12.99,"discounts":0}"#));
    assert_eq!(
        database
            .values("SELECT concat_ws(' ', id, coupon_code) FROM orders")
            .await,
        [format!("{} HAPPYHRS", order["id"].as_str().unwrap())]
    );
}

#[tokio::test]
async fn a_code_that_is_not_among_the_coupons_is_refused() {
    let database = with_coupons().await;
    let api = Api::on(&database).await;
    for (code, shown) in [
        ("SUPER100", "SUPER100"),
        ("happyhrs", "happyhrs"),
        ("HAPPYHRS ", "HAPPYHRS "),
        ("HAPPYHR_", "HAPPYHR_"),
        ("ÄÖÜäöüßÄÖÜ", "ÄÖÜäöüßÄÖÜ"),
        (r"\u0000HAPPYHRS", r"\0HAPPYHRS"),
    ] {
        let answer = api.order(coupon(&format!("\"{code}\""))).await;
        assert_eq!(answer.status, 422, "{code}: {answer:?}");
        assert_eq!(
            answer.message(),
            format!("couponCode \"{shown}\" is not a valid coupon")
        );
    }
    assert_nothing_ordered(&database).await;
}

#[tokio::test]
async fn a_coupon_is_neither_granted_nor_dropped_before_any_were_loaded() {
    let database = database().await;
    let api = Api::on(&database).await;
    assert_not_checked(&api.order(coupon(r#""HAPPYHRS""#)).await);

    // Nor does a load count that failed, or one of something else.
    database
        .execute(
            "INSERT INTO coupons VALUES ('HAPPYHRS');
             INSERT INTO load_run (data_set, table_name, outcome, started_at)
             VALUES ('coupons', 'coupons', 'failed', now()), ('products', 'products', 'loaded', now())",
        )
        .await;
    assert_not_checked(&api.order(coupon(r#""HAPPYHRS""#)).await);
    assert_nothing_ordered(&database).await;

    let without = api.order(coupon("null")).await;
    assert_eq!(without.status, 200, "{without:?}");
}

#[tokio::test]
async fn coupons_stay_known_while_later_loads_fail_or_find_nothing_new() {
    let database = with_coupons().await;
    let api = Api::on(&database).await;
    for outcome in ["unchanged", "failed"] {
        database
            .execute(&format!(
                "DELETE FROM load_run WHERE outcome = 'loaded';
                 INSERT INTO load_run (data_set, table_name, outcome, started_at)
                 VALUES ('coupons', 'coupons', '{outcome}', now())"
            ))
            .await;
        assert_eq!(api.order(coupon(r#""FIFTYOFF""#)).await.status, 200);
        assert_eq!(api.order(coupon(r#""SUPER100""#)).await.status, 422);
    }
}

#[tokio::test]
async fn a_set_without_any_coupon_is_a_set_all_the_same() {
    let database = with_coupons().await;
    database.execute("DELETE FROM coupons").await;
    let api = Api::on(&database).await;
    assert_eq!(api.order(coupon(r#""HAPPYHRS""#)).await.status, 422);
}

#[tokio::test]
async fn a_code_that_cannot_be_a_coupon_does_not_touch_the_database() {
    let database = with_coupons().await;
    let api = Api::on(&database).await;
    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction
        .batch_execute("LOCK products, coupons, load_run, orders IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    for code in [r#""1234567""#, r#""12345678901""#, r#""1234567\u0000""#] {
        assert_eq!(api.order(coupon(code)).await.status, 422, "{code}");
    }
}
