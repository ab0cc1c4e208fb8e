# The images of the bucket, which answers CloudFront's signed requests only.

resource "aws_cloudfront_origin_access_control" "images" {
  name                              = "${local.name}-images"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

# AWS's own policy "CachingOptimized": no cookies, headers or query strings in the key; gzip and brotli.
locals {
  caching_optimized = "658327ea-f89d-4fab-a63d-7e88639e58f6"
}

resource "aws_cloudfront_response_headers_policy" "images" {
  name = "${local.name}-images"

  security_headers_config {
    content_type_options {
      override = true
    }

    content_security_policy {
      content_security_policy = "default-src 'none'; sandbox"
      override                = true
    }

    strict_transport_security {
      access_control_max_age_sec = 63072000
      include_subdomains         = true
      preload                    = true
      override                   = true
    }

    referrer_policy {
      referrer_policy = "no-referrer"
      override        = true
    }
  }
}

resource "aws_cloudfront_distribution" "images" {
  #checkov:skip=CKV_AWS_68:It answers GET and HEAD of stored objects; no request reaches code of ours.
  #checkov:skip=CKV2_AWS_47:As CKV_AWS_68: no Java and no code of ours is behind it.
  #checkov:skip=CKV_AWS_86:Images are public, and the log of the bucket has what CloudFront fetches.
  #checkov:skip=CKV_AWS_374:Students read the catalogue from all countries.
  #checkov:skip=CKV_AWS_310:A second origin that is a moment behind would have its 404 cached; a person decides on it.
  #checkov:skip=CKV_AWS_305:The root has no object to show.

  comment         = "Images of ${local.name}"
  enabled         = true
  is_ipv6_enabled = true
  http_version    = "http2and3"
  aliases         = [local.images_domain]
  price_class     = "PriceClass_All" # the only one with edges in Australia

  origin {
    origin_id                = "images"
    domain_name              = aws_s3_bucket.images.bucket_regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.images.id
  }

  default_cache_behavior {
    target_origin_id           = "images"
    allowed_methods            = ["GET", "HEAD"]
    cached_methods             = ["GET", "HEAD"]
    viewer_protocol_policy     = "redirect-to-https"
    compress                   = true
    cache_policy_id            = local.caching_optimized
    response_headers_policy_id = aws_cloudfront_response_headers_policy.images.id
  }

  viewer_certificate {
    acm_certificate_arn      = aws_acm_certificate_validation.images.certificate_arn
    ssl_support_method       = "sni-only"
    minimum_protocol_version = "TLSv1.2_2021"
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }
}
