# The zone that an account has before it has the service.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

resource "aws_route53_zone" "this" {
  name = "course-enrollment.example.org"
}

output "id" {
  description = "Id of the zone."
  value       = aws_route53_zone.this.zone_id
}
