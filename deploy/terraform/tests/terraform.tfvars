environment       = "production"
domain            = "course-enrollment.example.org"
hosted_zone_id    = "Z0123456789ABCDEFGHIJ"
cors_origins      = ["https://app.course-enrollment.example.org"]
redis_auth_tokens = { cache = "cacheTokenOfTheTests", broker = "brokerTokenOfTheTests" }
alarm_email       = "operators@example.org"
image_digest      = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
github_repository = "example/course-enrollment"
state_bucket      = "example-terraform-state"
