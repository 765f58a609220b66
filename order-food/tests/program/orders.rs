//! What an order answers, and what it leaves in the database.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use futures_util::future::join_all;

use crate::support::{Api, coupon, database, program, send_half_an_order, until_waiting};

#[tokio::test]
async fn products_come_in_the_order_of_numbers_with_exact_prices() {
    let database = database().await;
    database
        .execute("INSERT INTO products (id, name, price) VALUES ('11', 'Water', 1.00), ('12', 'Air', 0), ('13', 'Gold', 99999999.99)")
        .await;
    let api = Api::on(&database).await;
    let answer = api.get("/api/product").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.body,
        concat!(
            r#"[{"id":"1","name":"Chicken Waffle","price":12.99,"category":"Waffle"},"#,
            r#"{"id":"2","name":"Belgian Waffle","price":10.99,"category":"Waffle"},"#,
            r#"{"id":"3","name":"Blueberry Pancakes","price":9.99,"category":"Pancakes"},"#,
            r#"{"id":"4","name":"Chocolate Pancakes","price":11.99,"category":"Pancakes"},"#,
            r#"{"id":"5","name":"Caesar Salad","price":8.99,"category":"Salad"},"#,
            r#"{"id":"6","name":"Greek Salad","price":9.49,"category":"Salad"},"#,
            r#"{"id":"7","name":"Margherita Pizza","price":13.99,"category":"Pizza"},"#,
            r#"{"id":"8","name":"Pepperoni Pizza","price":15.99,"category":"Pizza"},"#,
            r#"{"id":"9","name":"Cheeseburger","price":11.49,"category":"Burger"},"#,
            r#"{"id":"10","name":"Veggie Burger","price":10.49,"category":"Burger"},"#,
            r#"{"id":"11","name":"Water","price":1.00},"#,
            r#"{"id":"12","name":"Air","price":0.00},"#,
            r#"{"id":"13","name":"Gold","price":99999999.99}]"#,
        )
    );
}

#[tokio::test]
async fn a_product_is_asked_for_by_its_number() {
    let database = database().await;
    let api = Api::on(&database).await;
    let answer = api.get("/api/product/10").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        r#"{"id":"10","name":"Veggie Burger","price":10.49,"category":"Burger"}"#
    );
    for (path, status, message) in [
        ("/api/product/11", 404, "there is no product 11"),
        ("/api/product/-1", 404, "there is no product -1"),
        (
            "/api/product/9223372036854775807",
            404,
            "there is no product 9223372036854775807",
        ),
        (
            "/api/product/9223372036854775808",
            400,
            "is not a whole number",
        ),
        ("/api/product/waffle", 400, "is not a whole number"),
        ("/api/product/1.0", 400, "is not a whole number"),
        ("/api/product/%20", 400, "is not a whole number"),
        ("/api/product/%ff", 400, "is not a whole number"),
        ("/api/product/", 404, "there is no such path"),
    ] {
        let answer = api.get(path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.message().contains(message), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn an_order_is_merged_priced_and_stored() {
    let database = database().await;
    let api = Api::on(&database).await;
    let answer = api
        .order(
            r#"{"items": [{"productId": "10", "quantity": 2}, {"productId": "1", "quantity": 1, "note": 1.5},
                          {"productId": "10", "quantity": 998}],
                "couponCode": "", "table": {"number": 7.0}}"#,
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(id.as_bytes()[14], b'7', "{id} is a UUID of version 7");
    assert_eq!(
        answer.body,
        format!(
            r#"{{"id":"{id}","items":[{{"productId":"10","quantity":1000}},{{"productId":"1","quantity":1}}],"products":[{},{}],"total":10502.99,"discounts":0}}"#,
            r#"{"id":"10","name":"Veggie Burger","price":10.49,"category":"Burger"}"#,
            r#"{"id":"1","name":"Chicken Waffle","price":12.99,"category":"Waffle"}"#,
        )
    );
    assert_eq!(
        database
            .values("SELECT id || coalesce(coupon_code, ' no coupon') FROM orders")
            .await,
        [format!("{id} no coupon")]
    );
    assert_eq!(
        database
            .values(
                "SELECT concat_ws(' ', order_id, product_id, quantity) FROM order_items ORDER BY id"
            )
            .await,
        [format!("{id} 10 1000"), format!("{id} 1 1")]
    );
}

/// `{"items": [...]}` with so many lines of different products.
fn order_of_products(products: usize) -> String {
    let lines: Vec<_> = (1..=products)
        .map(|id| format!(r#"{{"productId": "{id}", "quantity": 1}}"#))
        .collect();
    format!(r#"{{"items": [{}]}}"#, lines.join(","))
}

/// An order of these lines.
fn lines(lines: &str) -> String {
    format!(r#"{{"items": [{lines}]}}"#)
}

/// Places orders that must be refused with this status and a message that holds the given text.
async fn assert_refused<const ORDERS: usize>(status: u16, orders: [(String, &str); ORDERS]) {
    let database = database().await;
    let api = Api::on(&database).await;
    for (body, message) in orders {
        let answer = api.order(body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.message().contains(message), "{body}: {answer:?}");
    }
    assert_eq!(database.value("SELECT count(*) FROM orders").await, "0");
}

#[tokio::test]
async fn an_order_that_is_not_of_the_contracts_form_is_malformed() {
    let array_of_fields = r#"[null, [{"productId": "1", "quantity": 1}]]"#;
    assert_refused(
        400,
        [
            (String::new(), "EOF"),
            ("waffles".to_owned(), "JSON"),
            (r#"{"items": ["#.to_owned(), "EOF"),
            (order_of_products(1) + "{}", "trailing characters"),
            ("[]".to_owned(), "expected an object with items"),
            (array_of_fields.to_owned(), "expected an object with items"),
            ("null".to_owned(), "expected an object with items"),
            (r#"{"items": {}}"#.to_owned(), "items: invalid type: map"),
            (
                r#"{"items": "1"}"#.to_owned(),
                "items: invalid type: string",
            ),
            (lines("null"), "items[0]: invalid type: null"),
            (lines(r#"["1", 1]"#), "items[0]: invalid type: sequence"),
            (
                lines(r#"{"productId": 5, "quantity": 1}"#),
                "items[0].productId",
            ),
            (
                lines(r#"{"productId": "1", "quantity": 1.5}"#),
                "items[0].quantity",
            ),
            (
                lines(r#"{"productId": "1", "quantity": "2"}"#),
                "items[0].quantity",
            ),
            (
                lines(r#"{"productId": "1", "quantity": true}"#),
                "items[0].quantity",
            ),
            (coupon("12345678"), "couponCode: invalid type: integer"),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_order_against_a_rule_is_answered_by_the_rule() {
    let one_and = |line: &str| lines(&format!(r#"{{"productId": "1", "quantity": 1}}, {line}"#));
    assert_refused(
        422,
        [
            ("{}".to_owned(), "items is missing or empty"),
            (r#"{"items": null}"#.to_owned(), "items is missing or empty"),
            (r#"{"items": []}"#.to_owned(), "items is missing or empty"),
            (
                one_and(r#"{"quantity": 1}"#),
                "items[1].productId is missing",
            ),
            (
                one_and(r#"{"productId": "", "quantity": 1}"#),
                "items[1].productId is missing or empty",
            ),
            (
                one_and(r#"{"productId": "2"}"#),
                "items[1].quantity is missing",
            ),
            (
                one_and(r#"{"productId": "2", "quantity": null}"#),
                "items[1].quantity is missing",
            ),
            (
                one_and(r#"{"productId": "2", "quantity": 0}"#),
                "items[1].quantity is missing or below 1",
            ),
            (
                one_and(r#"{"productId": "1", "quantity": -1}"#),
                "items[1].quantity is missing or below 1",
            ),
            (
                one_and(r#"{"productId": "2", "quantity": 1001}"#),
                "product \"2\" is above 1000",
            ),
            (
                one_and(r#"{"productId": "1", "quantity": 1000}"#),
                "product \"1\" is above 1000",
            ),
            (
                one_and(r#"{"productId": "1", "quantity": 9223372036854775807}"#),
                "is above 1000",
            ),
            (
                one_and(r#"{"productId": "11", "quantity": 1}"#),
                "there is no product \"11\"",
            ),
            (
                one_and(r#"{"productId": "\u0000", "quantity": 1}"#),
                "there is no product \"\\0\"",
            ),
            (order_of_products(100), "there is no product \"11\""),
            (order_of_products(101), "more than 100 different products"),
            (coupon(r#""1234567""#), "couponCode has 7 characters"),
            (coupon(r#""12345678901""#), "couponCode has 11 characters"),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_order_needs_the_key_before_its_body_is_looked_at() {
    let database = database().await;
    let api = Api::start(program(&database).env("API_KEY", "key-1234")).await;
    for (key, status, message) in [
        (None, 401, "the header api_key is missing"),
        (Some(""), 403, "is not valid"),
        (Some("apitest"), 403, "is not valid"),
        (Some("key-1235"), 403, "is not valid"),
        (Some("key-12345"), 403, "is not valid"),
        (Some("key-1234"), 400, "JSON"),
    ] {
        let mut request = Request::post("/api/order");
        if let Some(key) = key {
            request = request.header("api_key", key);
        }
        let answer = api.send(request.body(Body::from("waffles")).unwrap()).await;
        assert_eq!(answer.status, status, "{key:?}: {answer:?}");
        assert!(answer.message().contains(message), "{key:?}: {answer:?}");
    }
    let answer = send_half_an_order(api.port(), "apitest").await;
    assert_eq!(answer, "HTTP/1.1 403 Forbidden");
    let ended = api.stop().await;
    assert!(!ended.stderr.contains("for development"), "{ended:?}");
}

#[tokio::test]
async fn an_order_whose_product_vanishes_leaves_nothing() {
    let database = database().await;
    let api = Api::on(&database).await;
    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();
    // The order finds its products, then its insertion waits.
    transaction
        .batch_execute("LOCK orders IN EXCLUSIVE MODE")
        .await
        .unwrap();
    let body =
        r#"{"items": [{"productId": "1", "quantity": 1}, {"productId": "10", "quantity": 1}]}"#;
    let (answer, ()) = tokio::join!(api.order(body), async {
        until_waiting(&database, 1).await;
        database
            .execute("DELETE FROM products WHERE id = '10'")
            .await;
        transaction.commit().await.unwrap();
    });
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.message().contains("has just been removed"));
    assert_eq!(database.value("SELECT count(*) FROM orders").await, "0");
    assert_eq!(
        database.value("SELECT count(*) FROM order_items").await,
        "0"
    );
}

#[tokio::test]
async fn a_removed_product_is_not_offered_and_stays_in_the_orders_that_hold_it() {
    let database = database().await;
    let api = Api::on(&database).await;
    let body = |product: &str| lines(&format!(r#"{{"productId": "{product}", "quantity": 1}}"#));
    assert_eq!(api.order(body("10")).await.status, 200);
    database
        .execute("UPDATE products SET removed_at = now() WHERE id = '10'")
        .await;

    let listed = api.get("/api/product").await.json();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 9);
    assert!(listed.iter().all(|product| product["id"] != "10"));
    let answer = api.get("/api/product/10").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.message(), "there is no product 10");
    for refused in [
        body("10"),
        lines(r#"{"productId": "1", "quantity": 1}, {"productId": "10", "quantity": 1}"#),
    ] {
        let answer = api.order(refused).await;
        assert_eq!(answer.status, 422);
        assert_eq!(answer.message(), "there is no product \"10\"");
    }
    let kept = "SELECT name FROM orders
                JOIN order_items ON order_id = orders.id JOIN products ON product_id = products.id";
    assert_eq!(database.values(kept).await, ["Veggie Burger"]);

    database
        .execute("UPDATE products SET removed_at = NULL WHERE id = '10'")
        .await;
    assert_eq!(api.get("/api/product/10").await.status, 200);
    assert_eq!(api.order(body("10")).await.status, 200);
}

#[tokio::test]
async fn an_order_and_the_removal_of_its_product_do_not_wait_for_each_other() {
    let database = database().await;
    let api = Api::on(&database).await;
    let mut client = database.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction
        .batch_execute("UPDATE products SET removed_at = now() WHERE id = '1'")
        .await
        .unwrap();
    assert_eq!(api.order(order_of_products(1)).await.status, 200);
    transaction.commit().await.unwrap();
    assert_eq!(api.order(order_of_products(1)).await.status, 422);
}

#[tokio::test]
async fn orders_that_race_with_removals_are_placed_or_refused() {
    let database = database().await;
    let api = Api::on(&database).await;
    let client = database.client().await;
    let orders = async {
        let mut statuses = Vec::new();
        for _ in 0..25 {
            let answers = join_all((0..4).map(|_| api.order(order_of_products(2)))).await;
            statuses.extend(answers.iter().map(|answer| answer.status));
        }
        statuses
    };
    let removals = async {
        loop {
            for removed_at in ["now()", "NULL"] {
                let update =
                    format!("UPDATE products SET removed_at = {removed_at} WHERE id IN ('1', '2')");
                client.batch_execute(&update).await.unwrap();
            }
        }
    };
    let statuses = tokio::select! {
        statuses = orders => statuses,
        () = removals => unreachable!("it goes on until it is dropped"),
    };
    assert!(
        statuses.iter().all(|status| [200, 422].contains(status)),
        "{statuses:?}"
    );
    let placed = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(
        database.value("SELECT count(*) FROM order_items").await,
        (2 * placed).to_string()
    );
}

#[tokio::test]
async fn a_hundred_orders_at_once_are_all_stored() {
    let database = database().await;
    let api = Api::on(&database).await;
    let body =
        r#"{"items": [{"productId": "1", "quantity": 1}, {"productId": "2", "quantity": 3}]}"#;
    let mut ids = BTreeSet::new();
    for answer in join_all(std::iter::repeat_with(|| api.order(body)).take(100)).await {
        assert_eq!(answer.status, 200, "{answer:?}");
        ids.insert(answer.json()["id"].as_str().unwrap().to_owned());
    }
    let stored = database.values("SELECT id FROM orders").await;
    assert_eq!(ids.len(), 100);
    assert_eq!(stored.into_iter().collect::<BTreeSet<_>>(), ids);
    assert_eq!(
        database
            .value("SELECT count(*) FROM (SELECT FROM order_items GROUP BY order_id HAVING count(*) = 2) AS whole")
            .await,
        "100"
    );
}
