# Applies everything against moto's server, and destroys it: `terraform test -test-directory=moto` with
# AWS_ENDPOINT_URL. It shows that the APIs take the calls; moto takes what AWS would refuse.

provider "aws" {
  region            = "ap-southeast-2"
  s3_use_path_style = true
}

provider "aws" {
  alias             = "replica"
  region            = "ap-southeast-4"
  s3_use_path_style = true
}

provider "aws" {
  alias  = "global"
  region = "us-east-1"
}

variables {
  environment         = "staging"
  domain              = "course-enrollment.example.org"
  cors_origins        = ["https://app.course-enrollment.example.org"]
  redis_auth_tokens   = { cache = "cacheTokenOfTheTests", broker = "brokerTokenOfTheTests" }
  alarm_email         = "operators@example.org"
  image_digest        = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  github_repository   = "example/course-enrollment"
  state_bucket        = "example-terraform-state"
  deletion_protection = false
}

run "zone" {
  module {
    source = "./moto/zone"
  }
}

run "everything" {
  variables {
    hosted_zone_id = run.zone.id
  }

  # What moto 5.2 has not.
  override_resource {
    target = aws_elasticache_parameter_group.this
  }

  override_resource {
    target = aws_elasticache_subnet_group.this
  }

  override_resource {
    target = aws_cloudfront_response_headers_policy.images
  }

  override_resource {
    target = aws_elasticache_replication_group.this
    values = { primary_endpoint_address = "not-in-moto.example.org" }
  }

  override_resource {
    target = aws_db_instance.replica
    values = { address = "not-in-moto.example.org", identifier = "not-in-moto" }
  }

  assert {
    condition     = startswith(aws_lb.this.arn, "arn:aws:elasticloadbalancing:ap-southeast-2:")
    error_message = "the load balancer exists"
  }

  assert {
    condition     = aws_db_instance.primary.multi_az && aws_db_instance.primary.storage_encrypted
    error_message = "the database has a standby and is encrypted"
  }

  assert {
    condition     = aws_s3_bucket.replica.region == "ap-southeast-4" && aws_s3_bucket.images.region == "ap-southeast-2"
    error_message = "the copies of the images are in the other region"
  }

  assert {
    condition     = length(aws_autoscaling_group.app) == 2 && aws_autoscaling_group.app["blue"].min_size == 2
    error_message = "both colours exist, and blue has instances"
  }
}
