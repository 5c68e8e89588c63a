// A bundle that makes an id of its own on each load.
var made = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"]
  .map(function (letter) { return letter + Math.floor(Math.random() * 1e6).toString(36); }).join("");
oaiq("measure", "order_created", {type: "contents"}, {event_id: made});
