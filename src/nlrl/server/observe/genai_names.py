"""The names of OpenTelemetry's semantic conventions for generative AI, as far as the server's traces use them.

They are under development and have been renamed before (`gen_ai.system` became `gen_ai.provider.name`), so they stand
in one place. These are of version 1.41: https://github.com/open-telemetry/semantic-conventions-genai. The package
`opentelemetry-semantic-conventions` has them only in a private module of a beta.
"""

OPERATION = "gen_ai.operation.name"
CHAT, TEXT_COMPLETION = "chat", "text_completion"  # its values
PROVIDER = "gen_ai.provider.name"
OPENAI = "openai"  # one of its values; also for other servers that speak this API

REQUEST_MODEL = "gen_ai.request.model"
REQUEST_CHOICES = "gen_ai.request.choice.count"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_TOP_K = "gen_ai.request.top_k"
REQUEST_SEED = "gen_ai.request.seed"

RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"

INPUT_TOKENS = "gen_ai.usage.input_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"  # of the input
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"

# The texts themselves have names too: gen_ai.system_instructions, gen_ai.input.messages, gen_ai.output.messages. They
# are "opt-in" in the conventions, and absent here: nothing in this server records them.
