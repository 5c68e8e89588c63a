// What a bundle does once the page is alive.
document.addEventListener("DOMContentLoaded", function () {
  oaiq("measure", "page_viewed", {type: "contents"});
});
