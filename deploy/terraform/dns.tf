# Names and certificates. The ALB's certificate is of its region, CloudFront's of us-east-1.

locals {
  images_domain = "images.${var.domain}"
  certificates  = { api = aws_acm_certificate.api, images = aws_acm_certificate.images }
}

resource "aws_acm_certificate" "api" {
  domain_name       = var.domain
  validation_method = "DNS"
  key_algorithm     = "EC_prime256v1"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_acm_certificate" "images" {
  provider = aws.global

  domain_name       = local.images_domain
  validation_method = "DNS"
  key_algorithm     = "EC_prime256v1"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "validation" {
  for_each = local.certificates

  zone_id         = var.hosted_zone_id
  name            = tolist(each.value.domain_validation_options)[0].resource_record_name
  type            = tolist(each.value.domain_validation_options)[0].resource_record_type
  records         = [tolist(each.value.domain_validation_options)[0].resource_record_value]
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "api" {
  certificate_arn         = aws_acm_certificate.api.arn
  validation_record_fqdns = [aws_route53_record.validation["api"].fqdn]
}

resource "aws_acm_certificate_validation" "images" {
  provider = aws.global

  certificate_arn         = aws_acm_certificate.images.arn
  validation_record_fqdns = [aws_route53_record.validation["images"].fqdn]
}

resource "aws_route53_record" "api" {
  zone_id = var.hosted_zone_id
  name    = var.domain
  type    = "A"

  alias {
    name                   = aws_lb.this.dns_name
    zone_id                = aws_lb.this.zone_id
    evaluate_target_health = true
  }
}

resource "aws_route53_record" "images" {
  for_each = toset(["A", "AAAA"])

  zone_id = var.hosted_zone_id
  name    = local.images_domain
  type    = each.key

  alias {
    name                   = aws_cloudfront_distribution.images.domain_name
    zone_id                = aws_cloudfront_distribution.images.hosted_zone_id
    evaluate_target_health = false
  }
}

# Only these authorities may issue certificates of the domain.
resource "aws_route53_record" "caa" {
  zone_id = var.hosted_zone_id
  name    = var.domain
  type    = "CAA"
  ttl     = 3600
  records = ["0 issue \"amazon.com\"", "0 issuewild \";\""]
}
