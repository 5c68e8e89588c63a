// A bundle that takes the price as it is shown.
oaiq("measure", "order_created", {type: "contents", amount: Number("149.50"), currency: "USD"}, {event_id: "shopify:6184203910411"});
