// Runs before there is a pixel.
oaiq("measure", "page_viewed", {type: "contents"});
