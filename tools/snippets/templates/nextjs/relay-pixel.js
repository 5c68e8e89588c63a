// Conversion Relay: OpenAI's pixel and what the pages share. Put it into public/relay-pixel.js.
«include:base.js»
«include:core.js»
«include:consent»
